//! Go's `strconv.Quote`, which upstream writes the values of labels and annotations with.

use std::fmt::Write;

/// The text between double quotes, with Go's escapes for what does not print.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if prints(c) => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a string does not fail.
                let _ = match code {
                    0..0x20 | 0x7f => write!(out, "\\x{code:02x}"),
                    0..0x1_0000 => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Whether a character is shown as it is. Rust's own table decides for all but spaces, of which Go shows one; it is asked for
/// a second character, for at the beginning of a text Rust also escapes marks that combine.
fn prints(c: char) -> bool {
    let mut text = String::from("a");
    text.push(c);
    let whitespace = c.is_whitespace() && c != ' ';
    !whitespace && (c == '\'' || text.escape_debug().eq(text.chars()))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn as_go_does() {
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
            assert_eq!(quote(text), expected, "{text:?}");
        }
    }
}
