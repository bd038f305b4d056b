//! How things are written and read that Go programs write and read.

use std::error::Error;

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

/// Whether Go calls the character printable: neither control nor format, and of all spaces only the common one.
pub fn is_printable(c: char) -> bool {
    let is_format = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    c == ' ' || !(c.is_control() || c.is_whitespace() || is_format)
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
}
