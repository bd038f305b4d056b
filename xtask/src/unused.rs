//! Nothing is carried along that nobody uses: dependencies that no source names, items that no other place names.
//!
//! The compiler sees neither: a dependency is not missed, and a public item may be used by anybody. The check is textual. An item
//! whose name stands once in the whole workspace is unused for certain; one that shares its name with something is not found.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::process::root;
use crate::sources::{self, Source, read, uses, words};

/// Packages whose library has another name.
const RENAMED: [(&str, &str); 1] = [("rustls-webpki", "webpki")];

pub(crate) fn check() -> Result<(), String> {
    let mut all = sources::below("crates")?;
    all.extend(sources::below("xtask")?);
    let mut problems = dependencies(&all)?;
    problems.extend(items(&all));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn dependencies(all: &[Source]) -> Result<Vec<String>, String> {
    let workspace = manifest(&root().join("Cargo.toml"))?;
    let members = workspace["workspace"]["members"].as_array().cloned().unwrap_or_default();
    let (mut problems, mut named) = (Vec::new(), BTreeSet::new());
    for member in members.iter().filter_map(toml::Value::as_str) {
        let manifest = manifest(&root().join(member).join("Cargo.toml"))?;
        let list = |section: &str| manifest.get(section).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        let (regular, tests, build) = (list("dependencies"), list("dev-dependencies"), list("build-dependencies"));
        named.extend([&regular, &tests, &build].into_iter().flat_map(|list| list.keys().cloned()));
        let in_folder = |folder: &str| {
            let folder = Path::new(member).join(folder);
            all.iter().filter(move |source| source.path.starts_with(&folder))
        };
        // Tests may take a module from a neighbour.
        let borrowed: Vec<String> = in_folder("").flat_map(borrowed_folders).collect();
        let in_tests = || {
            let is_borrowed =
                |source: &&Source| borrowed.iter().any(|folder| source.path.to_string_lossy().contains(folder));
            in_folder("").chain(all.iter().filter(is_borrowed))
        };
        for name in regular.keys().filter(|name| !in_folder("src").any(|source| mentions(&source.text, name))) {
            problems.push(format!("{member}/Cargo.toml names {name}, which nothing in src uses"));
        }
        // What is named twice is there for its features.
        for name in tests.keys().filter(|name| !regular.contains_key(*name)) {
            if !in_tests().any(|source| mentions(&source.text, name)) {
                problems.push(format!("{member}/Cargo.toml names {name} for tests, and none uses it"));
            }
        }
    }
    let offered = workspace["workspace"]["dependencies"].as_table().cloned().unwrap_or_default();
    for name in offered.keys().filter(|name| !named.contains(*name)) {
        problems.push(format!("Cargo.toml offers {name}, and no crate takes it"));
    }
    Ok(problems)
}

fn manifest(path: &Path) -> Result<toml::Table, String> {
    read(path)?.parse().map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether a text names a package's library: as the head of a path, or in a `use` or an attribute.
fn mentions(text: &str, package: &str) -> bool {
    let renamed = RENAMED.iter().find(|(name, _)| *name == package).map(|(_, library)| (*library).to_owned());
    let library = renamed.unwrap_or_else(|| package.replace('-', "_"));
    text.match_indices(&library).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = &text[at + library.len()..];
        let is_whole = !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"');
        is_whole && (after.starts_with("::") || after.starts_with(';') || after.starts_with(" as "))
    })
}

/// The folders below other crates from which a file takes modules by `#[path = "…"]`.
fn borrowed_folders(source: &Source) -> Vec<String> {
    let paths = source.text.lines().filter_map(|line| line.trim().strip_prefix("#[path = \"../")?.strip_suffix("\"]"));
    let folders = paths.filter_map(|path| Some(path.trim_start_matches("../").rsplit_once('/')?.0.to_owned()));
    folders.collect()
}

/// Public items of modules that nothing else names.
fn items(all: &[Source]) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    // To hand an item on is not to use it.
    let texts: Vec<(String, Vec<String>)> = all
        .iter()
        .map(|source| {
            let (uses, rest) = uses(&source.text);
            (rest, uses.into_iter().filter(|(handed_on, _)| !handed_on).map(|(_, statement)| statement).collect())
        })
        .collect();
    for (rest, uses) in &texts {
        for word in words(rest).chain(uses.iter().flat_map(|statement| words(statement))) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut problems = Vec::new();
    for (source, (rest, _)) in all.iter().zip(&texts) {
        for name in rest.lines().filter_map(public_item).filter(|name| counts.get(name) == Some(&1)) {
            problems.push(format!("{}: nothing uses {name}", source.path.display()));
        }
    }
    problems
}

/// The name of the public item that a line at the level of a module begins.
fn public_item(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("pub ")?.split_whitespace().peekable();
    while words.next_if(|word| matches!(*word, "unsafe" | "async" | "extern" | "\"C\"")).is_some() {}
    let kind = words.next()?;
    let named = if kind == "const" && words.peek() == Some(&"fn") { words.nth(1)? } else { words.next()? };
    let is_item = matches!(kind, "fn" | "struct" | "enum" | "const" | "static" | "trait" | "type" | "union");
    let end = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
    (is_item && end > 0).then(|| &named[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_carries_nothing_along() {
        check().unwrap();
    }

    #[test]
    fn mentions_of_libraries() {
        for text in
            ["use serde_json::Value;", "x = serde_json::from_str(y)", "use serde_json as json;", "#[serde_json::a]"]
        {
            assert!(mentions(text, "serde-json"), "{text}");
        }
        for text in ["use my_serde_json::a;", "serde_json_x::a", "let serde_json = 1", "\"serde_json::a\""] {
            assert!(!mentions(text, "serde-json"), "{text}");
        }
        assert!(mentions("webpki::anchor()", "rustls-webpki"));
    }

    #[test]
    fn items_that_stand_once() {
        let of = |path: &str, text: &str| Source { path: path.into(), text: text.to_owned() };
        let all = [
            of(
                "a.rs",
                "pub fn used() {}\npub fn alone<T>() {}\npub(crate) fn seen_by_rustc() {}\n    pub fn method() {}\n",
            ),
            of("b.rs", "pub use a::alone;\nuse a::used;\npub const fn also_alone() {}\npub struct Lone;\npub mod m;\n"),
        ];
        assert_eq!(
            items(&all),
            ["a.rs: nothing uses alone", "b.rs: nothing uses also_alone", "b.rs: nothing uses Lone"]
        );
    }
}
