//! Regular expressions of schemas: Go's syntax (RE2), compiled when the first value is held against one.
//!
//! The `regex` crate understands nearly the same, and what it reads differently is rewritten: Go's `\d`, `\w`, `\s` and `\b` know
//! ASCII alone, brackets do not nest, braces that count nothing stand for themselves, and `\Q…\E` quotes.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};

/// Bytes that one compiled expression may take: enough for 253 letters of any script, which is more than anything common takes.
const COMPILED_BYTES_MAX: usize = 16 << 20;
/// Bytes in which it may remember what it has seen of texts.
const CACHE_BYTES_MAX: usize = 256 << 10;

/// A regular expression that matches anywhere in a text.
#[derive(Debug)]
pub struct Pattern {
    source: Box<str>,
    compiled: OnceLock<Result<Regex, Box<str>>>,
}

impl Pattern {
    pub fn new(source: &str) -> Self {
        Self { source: source.into(), compiled: OnceLock::new() }
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the expression matches somewhere in the text; why it cannot be used when it is invalid or too large.
    pub fn is_match(&self, text: &str) -> Result<bool, &str> {
        match self.compiled.get_or_init(|| compile(&self.source)) {
            Ok(regex) => Ok(regex.is_match(text)),
            Err(problem) => Err(problem),
        }
    }
}

fn compile(source: &str) -> Result<Regex, Box<str>> {
    let regex = RegexBuilder::new(&rewrite(source))
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(CACHE_BYTES_MAX)
        .octal(true)
        .build();
    regex.map_err(|error| error.to_string().into())
}

/// An expression of Go's in the syntax of the `regex` crate.
fn rewrite(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        rest = match c {
            '\\' => escape(rest, false, &mut out),
            '[' => class(rest, &mut out),
            '{' if !is_repetition(rest) => {
                out.push_str("\\{");
                &rest[1..]
            }
            _ => {
                out.push(c);
                &rest[c.len_utf8()..]
            }
        };
    }
    out
}

/// Whether a brace begins `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest[1..].split_once('}') else { return false };
    let (from, to) = inside.split_once(',').unwrap_or((inside, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !from.is_empty() && is_digits(from) && is_digits(to)
}

/// Rewrites what begins with a backslash; returns what follows.
fn escape<'a>(rest: &'a str, in_class: bool, out: &mut String) -> &'a str {
    let mut chars = rest[1..].chars();
    let Some(c) = chars.next() else {
        out.push('\\');
        return "";
    };
    let after = chars.as_str();
    let (open, close) = if in_class { ("", "") } else { ("[", "]") };
    match c {
        'd' => out.extend([open, "0-9", close]),
        's' => out.extend([open, "\\t\\n\\x0C\\r ", close]),
        'w' => out.extend([open, "0-9A-Za-z_", close]),
        'D' => out.push_str("[^0-9]"),
        'S' => out.push_str("[^\\t\\n\\x0C\\r ]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("(?-u:\\B)"),
        'Q' if !in_class => {
            let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(quoted));
            return after;
        }
        'p' | 'P' | 'x' if after.starts_with('{') => {
            let (name, after) = after.split_at(after.find('}').map_or(after.len(), |end| end + 1));
            match (c, name.strip_prefix("{^")) {
                // A class that is negated inside its braces.
                ('p', Some(name)) => out.extend(["\\P{", name]),
                ('P', Some(name)) => out.extend(["\\p{", name]),
                _ => out.extend(["\\", c.encode_utf8(&mut [0; 4]), name]),
            }
            return after;
        }
        _ if c.is_ascii_alphanumeric() || !c.is_ascii() => out.extend(['\\', c]),
        // Any punctuation may be escaped and stands for itself, also `\<`, which is more than that to the crate.
        '<' | '>' => out.push(c),
        _ => out.extend(['\\', c]),
    }
    after
}

/// Rewrites a class in brackets; returns what follows.
fn class<'a>(rest: &'a str, out: &mut String) -> &'a str {
    out.push('[');
    let mut rest = &rest[1..];
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut is_first = true;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = match c {
            ']' if !is_first => {
                out.push(']');
                return after;
            }
            '\\' => escape(rest, true, out),
            '[' if rest.starts_with("[:") && rest.contains(":]") => {
                let end = rest.find(":]").map_or(rest.len(), |end| end + 2);
                out.push_str(&rest[..end]);
                &rest[end..]
            }
            // A bracket opens nothing here, and doubled signs are no operations on sets.
            '[' | ']' | '&' | '~' => {
                out.extend(['\\', c]);
                after
            }
            '-' if after.starts_with('-') => {
                out.push_str(if is_first { "\\-" } else { "-" });
                match after[1..].chars().next() {
                    // The end of a range.
                    _ if !is_first => {
                        out.push_str("\\-");
                        &after[1..]
                    }
                    _ => after,
                }
            }
            _ => {
                out.push(c);
                after
            }
        };
        is_first = false;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_go_does() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("^a+$", &["a", "aaa"], &["", "ab", "a\n"]),
            ("b", &["abc"], &["ac"]),
            (r"^\d+$", &["12"], &["١٢", "x"]),
            (r"^[\d_]+$", &["1_2"], &["١"]),
            (r"^\D$", &["١", "x"], &["1"]),
            (r"^[^\D]$", &["1"], &["x"]),
            (r"^\w\W\s\S$", &["aé x", "_-\tx"], &["éa x", "a-\u{a0}x"]),
            (r"\bfoo\b", &["a foo b", "éfoo"], &["afoo"]),
            (r"^[a[b]+$", &["a[b"], &["]"]),
            (r"^[]a]+$", &["]a"], &["b"]),
            (r"^[^]a]$", &["b"], &["]", "a"]),
            (r"^[a&&b]+$", &["a&b"], &["c"]),
            (r"^[a~~b]$", &["~"], &["c"]),
            (r"^[--0]$", &["-", ".", "/", "0"], &["1", ","]),
            (r"^[+--]$", &["+", ",", "-"], &["."]),
            (r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", &["a-b"], &["-a"]),
            (r"^a{$", &["a{"], &["a"]),
            (r"^a{,2}$", &["a{,2}"], &["a", "aa"]),
            (r"^a{x}$", &["a{x}"], &[]),
            (r"^a{2,3}$", &["aa"], &["a"]),
            (r"^\Qa.b\E+$", &["a.b", "a.bb"], &["axb"]),
            (r"^\<\>\/\-\_\!$", &["<>/-_!"], &[]),
            (r"^[[:alpha:]_]+$", &["a_"], &["1"]),
            (r"(?i)^k$", &["k", "K", "\u{212a}"], &["x"]),
            (r"^\pL\p{Greek}[\p{Lu}]$", &["aαB"], &["1αB"]),
            (r"^\x41\x{1F600}\101$", &["A😀A"], &[]),
            (r"^.$", &["é"], &["\n", ""]),
            (r"^(?s).$", &["\n"], &[]),
            (r"\z", &[""], &[]),
            (r"^[\p{L}\p{N}]{1,253}$", &["aé1"], &["-"]),
        ];
        for (pattern, good, bad) in cases {
            let pattern = Pattern::new(pattern);
            for text in *good {
                assert_eq!(pattern.is_match(text), Ok(true), "{pattern:?} {text:?}");
            }
            for text in *bad {
                assert_eq!(pattern.is_match(text), Ok(false), "{pattern:?} {text:?}");
            }
        }
    }

    #[test]
    fn is_bounded() {
        for source in ["(", r"^(\pL{1000}){1000}$", "(((((a{100}){100}){100}){100}){100})", &"(".repeat(100_000)] {
            assert!(Pattern::new(source).is_match("a").is_err());
        }
        for (source, text) in [(r"\", "x"), (r"[\", "x"), ("[", "x"), (r"\Q", "x"), ("[[:", "x"), ("é\\é", "é")] {
            let _ = Pattern::new(source).is_match(text);
        }
    }
}
