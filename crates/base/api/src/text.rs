//! How things are written and read that Go programs write and read.

use std::error::Error;
use std::fmt::Write;

use serde::{Deserialize, Deserializer};

/// An error with what caused it, in one line: `cannot open x: permission denied`.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Transparent errors, and those of some libraries, repeat their source.
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

/// For `#[serde(deserialize_with)]`: Go writes empty lists and maps that are not optional as `null`.
pub fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(input: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

/// Several problems as Go's aggregate of errors shows them: each once, in brackets when there are more than one.
pub fn aggregate<T: ToString>(problems: impl IntoIterator<Item = T>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for problem in problems {
        let problem = problem.to_string();
        if !distinct.contains(&problem) {
            distinct.push(problem);
        }
    }
    if distinct.len() == 1 { distinct.remove(0) } else { format!("[{}]", distinct.join(", ")) }
}

/// A text in quotes as Go's `%q` and `strconv.Quote` write it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => {
                // Writing to a string does not fail.
                let _ = match u32::from(c) {
                    code @ (0..0x20 | 0x7f) => write!(out, "\\x{code:02x}"),
                    code @ 0..0x1_0000 => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Whether Go calls the character printable. Rust's own table decides for all but spaces, of which only the common one is; it is
/// asked for a second character, for at the beginning of a text Rust also escapes marks that combine.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let mut second = [b'a'; 5];
    let length = c.encode_utf8(&mut second[1..]).len();
    let text = std::str::from_utf8(&second[..=length]).unwrap_or_default();
    !c.is_whitespace() && text.escape_debug().eq(text.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file cannot be opened")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Inner(#[from] std::io::Error);

    #[test]
    fn causes_are_said_once() {
        let error = Outer(std::io::Error::other("no disk").into());
        assert_eq!(with_causes(&error), "the file cannot be opened: no disk");
    }

    #[test]
    fn what_is_printable() {
        assert!("aü 漢!€".chars().all(is_printable));
        assert!(!['\0', '\n', '\u{a0}', '\u{200b}', '\u{feff}'].into_iter().any(is_printable));
    }

    #[test]
    fn quotes_as_go_does() {
        let cases = [
            ("", r#""""#),
            ("plain text'", r#""plain text'""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\u{0}\u{1f}\u{7f}", r#""\x00\x1f\x7f""#),
            ("é世界🚀", r#""é世界🚀""#),
            ("e\u{301}", "\"e\u{301}\""),
            ("\u{80}\u{a0}\u{ad}", r#""\u0080\u00a0\u00ad""#),
            ("\u{2028}\u{200b}\u{feff}", r#""\u2028\u200b\ufeff""#),
            ("\u{e000}\u{10ffff}", r#""\ue000\U0010ffff""#),
            ("\u{fffd}", "\"\u{fffd}\""),
        ];
        for (text, expected) in cases {
            assert_eq!(quoted(text), expected, "{text:?}");
        }
    }
}
