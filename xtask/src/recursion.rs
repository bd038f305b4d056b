//! Recursion over what a stranger shaped ends on the stack's last page. So each function that calls itself stands in xtask/recursion.tsv with
//! what bounds its depth; another one fails the check, and so does a row whose function recurses no more.
//!
//! The check is textual: it sees functions that call themselves by name, not those that do by way of another function or another value. rustfmt's layout tells where a function ends.

use std::collections::BTreeSet;

use crate::sources::{self, Source, without_tests, words};

const TABLE: &str = include_str!("../recursion.tsv");
/// Only tests depend on these.
const FOR_TESTS: &str = "crates/testing/";

pub(crate) fn check() -> Result<(), String> {
    let found = functions(&sources::below("crates")?);
    let known: BTreeSet<(String, String)> = rows().map(|(file, name, _)| (file.to_owned(), name.to_owned())).collect();
    let new = found.difference(&known).map(|(file, name)| {
        format!("{file}: {name} calls itself. If a stranger shapes what it goes over, let it not; else xtask/recursion.tsv says what bounds it")
    });
    let gone = known
        .difference(&found)
        .map(|(file, name)| format!("xtask/recursion.tsv names {name} of {file}, which recurses no more"));
    let problems: Vec<String> = new.chain(gone).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// File, function, and what bounds the depth.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.split('\t');
        Some((columns.next()?, columns.next()?, columns.next()?))
    })
}

fn functions(all: &[Source]) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for source in all {
        let path = source.path.to_string_lossy();
        if path.starts_with(FOR_TESTS) || !path.contains("/src/") || path.ends_with("tests.rs") {
            continue;
        }
        let (text, _) = without_tests(&source.text);
        found.extend(recursive(&text).into_iter().map(|name| (path.to_string(), name)));
    }
    found
}

/// The names of a text's functions that call themselves.
fn recursive(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = declared(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let close = format!("{indent}}}");
        let one_line = line.ends_with('}');
        let end = if one_line { Some(at) } else { (at..lines.len()).find(|end| lines[*end] == close) };
        let Some(end) = end else { continue };
        let whole = lines[at..=end].join("\n");
        let Some((signature, body)) = whole.split_once('{') else { continue };
        // A method that is only declared has no body before the next function's.
        if !signature.contains(';') && calls_itself(name, signature, body) {
            found.push(name.to_owned());
        }
    }
    found
}

/// The name of the function that a line declares.
fn declared(line: &str) -> Option<&str> {
    let (before, after) = line.trim_start().split_once("fn ")?;
    let modifiers = ["pub", "crate", "super", "in", "const", "async", "unsafe", "extern", "C"];
    let declares = words(before).all(|word| modifiers.contains(&word)) && !before.contains(['=', '&', '<', ':']);
    let name = words(after).next().filter(|name| after.starts_with(name));
    name.filter(|_| declares)
}

fn calls_itself(name: &str, signature: &str, body: &str) -> bool {
    let is_method = words(signature).any(|word| word == "self");
    // A parameter or a variable of the same name is called instead.
    let parameters = signature.split_once('(').map_or("", |(_, parameters)| parameters);
    if parameters.contains(&format!("{name}:")) || body.contains(&format!("let {name} ")) {
        return false;
    }
    // Without a condition it would never end, and the compiler would say so: a trait's function that hands on to the type's own.
    let first = body.trim_start();
    if ["", "self.", "Self::"].iter().any(|owner| first.starts_with(&format!("{owner}{name}("))) {
        return false;
    }
    body.match_indices(&format!("{name}(")).any(|(at, _)| {
        let before = &body[..at];
        if before.ends_with("Self::") || (is_method && before.ends_with("self.")) {
            return true;
        }
        !is_method && !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_recurses_where_it_is_known() {
        check().unwrap();
        assert!(rows().all(|(_, _, bound)| !bound.is_empty()));
        assert_eq!(rows().count(), TABLE.lines().filter(|line| !line.starts_with('#')).count());
    }

    #[test]
    fn functions_that_call_themselves() {
        let text = "\
pub(crate) fn walk(a: &A) {
    for b in a.children() {
        walk(b);
    }
}

impl A {
    fn depth(&self) -> u32 {
        self.0.as_ref().map_or(0, |below| below.depth())
    }

    async fn again(&self) {
        if self.more() {
            self.again().await
        }
    }

    fn sync(&self) -> Result<()> {
        Self::sync(self)
    }

    fn open(path: &Path) -> File {
        super::open(path)
    }

    fn change(&self, change: impl Fn()) {
        change()
    }

    fn new(n: u8) -> Self { if n > 0 { Self::new(n - 1) } else { Self } }

    fn helper(&self) {
        helper(self)
    }
}
";
        assert_eq!(recursive(text), ["walk", "again", "new"]);
    }
}
