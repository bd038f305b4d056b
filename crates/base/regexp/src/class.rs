//! Classes of characters: `[a-z\d]`, `\pL`, `[[:alpha:]]`.

use super::PatternError;
use super::escape::{escaped_character, write_literal, wrong};

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// Reads classes and writes them for the `regex` crate.
pub(super) struct Classes;

impl Classes {
    /// Reads a class in brackets: its length and what to write. No `:]` begins after `last_colon`.
    pub(super) fn bracketed(text: &str, last_colon: usize) -> Result<(usize, String), PatternError> {
        let mut out = String::from("[");
        let mut at = 1;
        if text[at..].starts_with('^') {
            out.push('^');
            at += 1;
        }
        let mut first = true;
        loop {
            let rest = &text[at..];
            if rest.is_empty() {
                return wrong("missing closing ]", text);
            }
            if rest.starts_with(']') && !first {
                out.push(']');
                return Ok((at + 1, out));
            }
            first = false;
            if at < last_colon
                && let Some((length, class)) = posix(rest)?
            {
                out.push_str(&class);
                at += length;
                continue;
            }
            if let Some((length, class)) = Self::escaped(rest)? {
                out.push_str(&class);
                at += length;
                continue;
            }
            at += range(rest, text, &mut out)?;
        }
    }

    /// Reads a class like `\d` or `\pL`: its length and what to write between brackets.
    pub(super) fn escaped(text: &str) -> Result<Option<(usize, String)>, PatternError> {
        let mut characters = text.chars();
        if characters.next() != Some('\\') {
            return Ok(None);
        }
        let class = match characters.next() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('s') => r"\t\n\x0C\r\x20",
            Some('S') => r"[^\t\n\x0C\r\x20]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some('p' | 'P') => return unicode(text).map(Some),
            _ => return Ok(None),
        };
        Ok(Some((2, class.to_owned())))
    }
}

/// One character or a range of them; returns its length.
fn range(text: &str, whole: &str, out: &mut String) -> Result<usize, PatternError> {
    let (mut length, low) = character(text, whole)?;
    let mut high = low;
    let after = &text[length..];
    if after.starts_with('-') && after.len() > 1 && !after[1..].starts_with(']') {
        let (more, last) = character(&after[1..], whole)?;
        length += 1 + more;
        high = last;
        if high < low {
            return wrong("invalid character class range", &text[..length]);
        }
    }
    write_literal(out, low);
    if high != low {
        out.push('-');
        write_literal(out, high);
    }
    Ok(length)
}

fn character(text: &str, whole: &str) -> Result<(usize, char), PatternError> {
    match text.chars().next() {
        None => wrong("missing closing ]", whole),
        Some('\\') => escaped_character(text),
        Some(c) => Ok((c.len_utf8(), c)),
    }
}

fn posix(text: &str) -> Result<Option<(usize, String)>, PatternError> {
    let Some(end) = text.strip_prefix("[:").and_then(|rest| rest.find(":]")) else { return Ok(None) };
    let length = end + 4;
    let name = &text[2..2 + end];
    if POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Ok(Some((length, text[..length].to_owned())));
    }
    wrong("invalid character class range", &text[..length])
}

fn unicode(text: &str) -> Result<(usize, String), PatternError> {
    let invalid = |part: &str| wrong("invalid character class range", part);
    let Some(first) = text[2..].chars().next() else { return invalid(text) };
    let (length, name) = if first == '{' {
        let Some(end) = text.find('}') else { return invalid(text) };
        (end + 1, &text[3..end])
    } else {
        (2 + first.len_utf8(), &text[2..2 + first.len_utf8()])
    };
    let (name, inverted) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let negated = text.starts_with("\\P") != inverted;
    let class = format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' });
    // Go knows scripts and general categories, by their exact names.
    let known = name == "Any" || name.starts_with(|c: char| c.is_ascii_uppercase());
    if known && regex_syntax::parse(&class).is_ok() { Ok((length, class)) } else { invalid(&text[..length]) }
}
