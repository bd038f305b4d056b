//! The workspace's Rust sources as text: read once, free of comments, cut into words.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::root;

/// A source file, relative to the repository, without comments and without the contents of strings that are no format strings.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// All Rust files of a folder of the repository.
pub(crate) fn below(folder: &str) -> Result<Vec<Source>, String> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        let problem = |error| format!("{} cannot be read: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(problem)? {
            let path = entry.map_err(problem)?.path();
            if path.is_dir() {
                if path.file_name().is_some_and(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).map_err(problem)?;
                let path = path.strip_prefix(root()).unwrap_or(&path).to_owned();
                found.push(Source { path, text: without_comments(&text) });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Blanks out comments; line feeds stay, so that lines keep their numbers.
pub(crate) fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut depth) = (text, 0_usize);
    while let Some(next) = rest.chars().next() {
        let taken = if depth > 0 {
            match (rest.starts_with("*/"), rest.starts_with("/*")) {
                (true, _) => {
                    depth -= 1;
                    2
                }
                (_, true) => {
                    depth += 1;
                    2
                }
                _ => {
                    if next == '\n' {
                        out.push('\n');
                    }
                    next.len_utf8()
                }
            }
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            depth = 1;
            2
        } else {
            let end = literal(rest).unwrap_or(next.len_utf8());
            out.push_str(&rest[..end]);
            end
        };
        rest = &rest[taken..];
    }
    out
}

/// The length of the string or character that the text begins with, for a `//` in it begins no comment.
fn literal(text: &str) -> Option<usize> {
    let raw = text.trim_start_matches('b');
    let prefix = text.len() - raw.len();
    if let Some(after) = raw.strip_prefix('r') {
        let hashes = after.len() - after.trim_start_matches('#').len();
        let body = after[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = body.find(&close)?;
        return Some(prefix + 1 + hashes + 1 + end + close.len());
    }
    if prefix > 1 {
        return None;
    }
    let quote = raw.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    if quote == '\'' {
        // A character, not a lifetime: closed at once, or after an escape.
        let mut inside = raw[1..].chars();
        let first = inside.next()?;
        if first != '\\' {
            return (inside.next()? == '\'').then(|| prefix + 2 + first.len_utf8());
        }
    }
    let mut escaped = false;
    for (at, next) in raw.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            next if next == quote => return Some(prefix + at + 1),
            _ => {}
        }
    }
    None
}

/// The words of a text: identifiers, keywords, what strings are made of.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The text without the modules of tests that stand at its end, and the names of those in files of their own.
pub(crate) fn without_tests(text: &str) -> (String, Vec<&str>) {
    let (mut kept, mut elsewhere) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let declaration = lines.by_ref().find(|line| !line.starts_with("#["));
        match declaration {
            Some(line) if line.ends_with(';') => elsewhere.extend(words(line).last()),
            // It ends with the brace at the beginning of a line.
            Some(line) if line.ends_with('{') => drop(lines.find(|line| *line == "}")),
            _ => {}
        }
    }
    (kept, elsewhere)
}

/// Splits `use` statements off: what they say, with the visibility before them, and the rest of the text.
pub(crate) fn uses(text: &str) -> (Vec<(bool, String)>, String) {
    let (mut found, mut rest) = (Vec::new(), String::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((visibility, statement)) = use_statement(line.trim_start()) else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        let mut statement = statement.to_owned();
        while !statement.contains(';') {
            let Some(line) = lines.next() else { break };
            statement.push_str(line.trim());
        }
        found.push((visibility, statement.split(';').next().unwrap_or_default().to_owned()));
    }
    (found, rest)
}

/// Whether a line begins a `use`, with whether it is a re-export and what it names.
fn use_statement(line: &str) -> Option<(bool, &str)> {
    let (visible, rest) = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => (true, rest.split_once(')')?.1.trim_start()),
        Some(rest) => (true, rest.trim_start()),
        None => (false, line),
    };
    rest.strip_prefix("use ").map(|rest| (visible, rest))
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_strings_stay() {
        let text = "a(\"//\", 'x', '\\'', r#\"/* \"#); // b\n/* c /* d */ */e<'f>()\n/// g\nh";
        assert_eq!(without_comments(text), "a(\"//\", 'x', '\\'', r#\"/* \"#); \ne<'f>()\n\nh");
    }

    #[test]
    fn tests_and_uses_are_split_off() {
        let text = "use a::b;\npub(crate) use c::{\n    d,\n    e,\n};\nfn f() {}\n#[cfg(test)]\nmod cases;\n#[cfg(test)]\nmod tests {\n    g\n}\nh\n";
        let (text, elsewhere) = without_tests(text);
        assert_eq!(elsewhere, ["cases"]);
        let (uses, rest) = uses(&text);
        assert_eq!(uses, [(false, "a::b".to_owned()), (true, "c::{d,e,}".to_owned())]);
        assert_eq!(rest, "fn f() {}\nh\n");
    }
}
