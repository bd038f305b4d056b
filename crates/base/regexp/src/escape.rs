//! Characters that patterns escape, and how they are written for the `regex` crate.

use super::PatternError;

pub(super) fn wrong<T>(what: &'static str, part: &str) -> Result<T, PatternError> {
    Err(PatternError::Invalid { what, part: part.to_owned() })
}

pub(super) fn write_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() {
        out.push(c);
    } else {
        out.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
    }
}

/// Reads an escaped character: its length and the character.
pub(super) fn escaped_character(text: &str) -> Result<(usize, char), PatternError> {
    let Some(kind) = text.chars().nth(1) else { return wrong("trailing backslash at end of expression", "") };
    let invalid = |length: usize| wrong("invalid escape sequence", text.get(..length).unwrap_or(text));
    let digits = |from: usize| text.get(from..).unwrap_or_default();
    let octal = |text: &str, max: usize| text.bytes().take(max).take_while(|b| (b'0'..=b'7').contains(b)).count();
    match kind {
        '0'..='7' => {
            let count = octal(digits(1), 3);
            if kind != '0' && count < 2 {
                return invalid(2);
            }
            let code = u32::from_str_radix(&text[1..1 + count], 8).unwrap_or(0);
            Ok((1 + count, char::from_u32(code).unwrap_or('\0')))
        }
        'x' if digits(2).starts_with('{') => {
            let Some(end) = digits(2).find('}') else { return invalid(text.len()) };
            let code = u32::from_str_radix(&text[3..2 + end], 16).ok().and_then(char::from_u32);
            code.map_or_else(|| invalid(3 + end), |c| Ok((3 + end, c)))
        }
        'x' => {
            let code = text.get(2..4).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            match code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32) {
                Some(c) => Ok((4, c)),
                None => invalid(text.chars().take(3).map(char::len_utf8).sum()),
            }
        }
        'a' => Ok((2, '\u{7}')),
        'f' => Ok((2, '\u{c}')),
        'n' => Ok((2, '\n')),
        'r' => Ok((2, '\r')),
        't' => Ok((2, '\t')),
        'v' => Ok((2, '\u{b}')),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok((2, c)),
        c => invalid(1 + c.len_utf8()),
    }
}
