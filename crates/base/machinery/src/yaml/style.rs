//! How a text is written in YAML: plain where it reads as the same text, otherwise between quotes or as lines.

use serde_json::Value;

use super::scalar;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    /// Lines as they are, behind a `|`.
    Literal,
}

/// `is_key` says that the text is the name of a field, which stands in one line.
pub(super) fn style(text: &str, is_key: bool) -> Style {
    let traits = Traits::of(text);
    if text.contains('\n') {
        let has_lines = !is_key && !traits.is_special && !traits.ends_in_space;
        return if has_lines { Style::Literal } else { Style::Double };
    }
    if !reads_as_text(text) || traits.is_special {
        return Style::Double;
    }
    if traits.has_indicators || traits.is_padded { Style::Single } else { Style::Plain }
}

/// What of a text stands in the way of writing it as it is.
struct Traits {
    has_indicators: bool,
    is_padded: bool,
    ends_in_space: bool,
    /// Characters that only double quotes can show, or a space that the end of a line would swallow.
    is_special: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
        let is_indicator = |place: usize, c: char| {
            let (before_blank, after_blank) = (blank(chars.get(place + 1)), place == 0 || blank(chars.get(place - 1)));
            match c {
                ':' => before_blank,
                '#' => after_blank,
                '?' | '-' if place == 0 => before_blank,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => place == 0,
                _ => false,
            }
        };
        let begins_document = text.starts_with("---") || text.starts_with("...");
        Self {
            has_indicators: begins_document || chars.iter().enumerate().any(|(place, c)| is_indicator(place, *c)),
            is_padded: text.starts_with(' ') || text.ends_with(' '),
            ends_in_space: text.ends_with(' '),
            is_special: chars.iter().any(|c| !is_printable(*c)) || text.contains(" \n"),
        }
    }
}

/// Whether a reader takes the plain text for a text.
fn reads_as_text(text: &str) -> bool {
    let is_number = matches!(text.trim_start_matches(['+', '-']).to_ascii_lowercase().as_str(), ".inf" | ".nan");
    let is_text = matches!(scalar::resolve(text), Value::String(_));
    is_text && !is_number && text != "<<" && !is_time(text) && !is_sexagesimal(text)
}

/// A date, alone or with a time behind it.
fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut number = |least: usize, most: usize| {
        parts.next().filter(|part| (least..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let begins = number(4, 4).is_some() && number(1, 2).is_some();
    let Some(rest) = parts.next().filter(|_| begins) else { return false };
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    let behind = &rest[day..];
    (1..=2).contains(&day)
        && (behind.is_empty() || (behind.starts_with(['T', 't', ' ']) && behind.matches(':').count() >= 2))
}

/// A number to the base of sixty (`10:20`), which older readers know.
fn is_sexagesimal(text: &str) -> bool {
    let mut parts = text.trim_start_matches(['+', '-']).split(':');
    let first = parts.next().unwrap_or_default();
    let is_first =
        first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest: Vec<&str> = parts.collect();
    let is_part = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    is_first && !rest.is_empty() && rest.iter().all(is_part)
}

/// Whether a character stands for itself; upstream escapes what takes four bytes.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
        && !matches!(c, '\u{2028}' | '\u{2029}')
}
