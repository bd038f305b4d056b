//! What Go's reader of JSON says of a text that is none. Clients see these words; they are found only after our own reader has failed.
//!
//! Source: Go `encoding/json/scanner.go`.

/// What is wrong with a text; `None` when it is JSON.
pub fn syntax_error(text: &[u8]) -> Option<String> {
    let mut scanner = Scanner { step: Step::Value, open: Vec::new() };
    for &byte in text {
        if let Err(place) = scanner.take(byte) {
            return Some(format!("invalid character {} {place}", quoted(byte)));
        }
    }
    if scanner.step == Step::Top {
        return None;
    }
    // A number at the end is complete when something else follows.
    match scanner.take(b' ') {
        Err(place) => Some(format!("invalid character ' ' {place}")),
        Ok(()) if scanner.step == Step::Top => None,
        Ok(()) => Some("unexpected end of JSON input".to_owned()),
    }
}

/// Where in a text the scanner is.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    /// A value begins.
    Value,
    /// A value begins, or the list ends.
    ValueOrEnd,
    Key,
    KeyOrEnd,
    /// Something has ended, within what is open.
    End,
    /// Everything has ended.
    Top,
    String,
    Escape,
    Hex(u8),
    /// A literal, and how much of it has been read.
    Literal(&'static str, usize),
    Minus,
    /// An integer that began with zero, or has ended.
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

#[derive(Clone, Copy, PartialEq)]
enum Open {
    Key,
    Member,
    List,
}

struct Scanner {
    step: Step,
    open: Vec<Open>,
}

impl Scanner {
    /// Takes one byte, or says where it does not belong.
    fn take(&mut self, byte: u8) -> Result<(), String> {
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.step {
            Step::Value | Step::ValueOrEnd | Step::Key | Step::KeyOrEnd | Step::Top if is_space => Ok(()),
            Step::ValueOrEnd if byte == b']' => self.end(byte),
            Step::Value | Step::ValueOrEnd => self.begin(byte),
            Step::KeyOrEnd if byte == b'}' => {
                self.replace(Open::Member);
                self.end(byte)
            }
            Step::Key | Step::KeyOrEnd if byte == b'"' => self.go(Step::String),
            Step::Key | Step::KeyOrEnd => Err("looking for beginning of object key string".to_owned()),
            Step::End if is_space => Ok(()),
            Step::End => self.end(byte),
            Step::Top => Err("after top-level value".to_owned()),
            Step::String => match byte {
                b'"' => self.finish(),
                b'\\' => self.go(Step::Escape),
                0..0x20 => Err("in string literal".to_owned()),
                _ => Ok(()),
            },
            Step::Escape => match byte {
                b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.go(Step::String),
                b'u' => self.go(Step::Hex(0)),
                _ => Err("in string escape code".to_owned()),
            },
            Step::Hex(count) if byte.is_ascii_hexdigit() => {
                self.go(if count == 3 { Step::String } else { Step::Hex(count + 1) })
            }
            Step::Hex(_) => Err("in \\u hexadecimal character escape".to_owned()),
            Step::Literal(word, read) => match word.as_bytes()[read] {
                wanted if wanted != byte => Err(format!("in literal {word} (expecting '{}')", wanted as char)),
                _ if read + 1 == word.len() => self.finish(),
                _ => self.go(Step::Literal(word, read + 1)),
            },
            _ => self.number(byte),
        }
    }

    fn number(&mut self, byte: u8) -> Result<(), String> {
        let (is_digit, is_exponent) = (byte.is_ascii_digit(), matches!(byte, b'e' | b'E'));
        match self.step {
            Step::Minus if byte == b'0' => self.go(Step::Zero),
            Step::Minus if is_digit => self.go(Step::Digits),
            Step::Minus => Err("in numeric literal".to_owned()),
            Step::Digits if is_digit => Ok(()),
            Step::Zero | Step::Digits if byte == b'.' => self.go(Step::Point),
            Step::Point if is_digit => self.go(Step::Fraction),
            Step::Point => Err("after decimal point in numeric literal".to_owned()),
            Step::Fraction if is_digit => Ok(()),
            Step::Zero | Step::Digits | Step::Fraction if is_exponent => self.go(Step::Exponent),
            Step::Exponent if matches!(byte, b'+' | b'-') => self.go(Step::ExponentSign),
            Step::Exponent | Step::ExponentSign if is_digit => self.go(Step::ExponentDigits),
            Step::Exponent | Step::ExponentSign => Err("in exponent of numeric literal".to_owned()),
            Step::ExponentDigits if is_digit => Ok(()),
            // The number has ended with the byte before.
            _ => {
                self.finish()?;
                self.take(byte)
            }
        }
    }

    fn begin(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            b'{' => {
                self.open.push(Open::Key);
                self.go(Step::KeyOrEnd)
            }
            b'[' => {
                self.open.push(Open::List);
                self.go(Step::ValueOrEnd)
            }
            b'"' => self.go(Step::String),
            b'-' => self.go(Step::Minus),
            b'0' => self.go(Step::Zero),
            b'1'..=b'9' => self.go(Step::Digits),
            b't' => self.go(Step::Literal("true", 1)),
            b'f' => self.go(Step::Literal("false", 1)),
            b'n' => self.go(Step::Literal("null", 1)),
            _ => Err("looking for beginning of value".to_owned()),
        }
    }

    /// What follows on something that has ended.
    fn end(&mut self, byte: u8) -> Result<(), String> {
        match (self.open.last(), byte) {
            (Some(Open::Key), b':') => {
                self.replace(Open::Member);
                self.go(Step::Value)
            }
            (Some(Open::Key), _) => Err("after object key".to_owned()),
            (Some(Open::Member), b',') => {
                self.replace(Open::Key);
                self.go(Step::Key)
            }
            (Some(Open::List), b',') => self.go(Step::Value),
            (Some(Open::Member), b'}') | (Some(Open::List), b']') => {
                self.open.pop();
                self.finish()
            }
            (Some(Open::Member), _) => Err("after object key:value pair".to_owned()),
            (Some(Open::List), _) => Err("after array element".to_owned()),
            (None, _) => Err("after top-level value".to_owned()),
        }
    }

    fn replace(&mut self, open: Open) {
        if let Some(last) = self.open.last_mut() {
            *last = open;
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.go(if self.open.is_empty() { Step::Top } else { Step::End })
    }

    fn go(&mut self, step: Step) -> Result<(), String> {
        self.step = step;
        Ok(())
    }
}

/// A byte as Go quotes it.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => "'\\\\'".to_owned(),
        b'\n' => "'\\n'".to_owned(),
        b'\r' => "'\\r'".to_owned(),
        b'\t' => "'\\t'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..0xa0 => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", byte as char),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words() {
        for (text, expected) in [
            (r#"{"a": [1, -0.5e+3, true, null, "\u00e9\n", {}], "b": []}"#, ""),
            ("", "unexpected end of JSON input"),
            (r#"{"a":1"#, "unexpected end of JSON input"),
            (r#"{"a":tru}"#, "invalid character '}' in literal true (expecting 'e')"),
            ("nul", "invalid character ' ' in literal null (expecting 'l')"),
            (r#"{"a" 1}"#, "invalid character '1' after object key"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            (r#"{"a":1,}"#, "invalid character '}' looking for beginning of object key string"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("[1 2]", "invalid character '2' after array element"),
            (r#"{"a":1 "b":2}"#, "invalid character '\"' after object key:value pair"),
            (r#"{"a":"\x"}"#, "invalid character 'x' in string escape code"),
            (r#"{"a":"\u12"}"#, "invalid character '\"' in \\u hexadecimal character escape"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("-", "invalid character ' ' in numeric literal"),
            ("1.", "invalid character ' ' after decimal point in numeric literal"),
            ("1e", "invalid character ' ' in exponent of numeric literal"),
            ("01", "invalid character '1' after top-level value"),
            ("{} {}", "invalid character '{' after top-level value"),
            ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
            ("\0", "invalid character '\\x00' looking for beginning of value"),
        ] {
            assert_eq!(syntax_error(text.as_bytes()).unwrap_or_default(), expected, "{text}");
        }
    }

    proptest! {
        /// It agrees with our own reader on what is JSON, up to what that one bounds.
        #[test]
        fn agrees(text in "[\\[\\]{}:,\"\\\\a-fnrtu0-9.eE+ -]{0,12}") {
            let ours = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(syntax_error(text.as_bytes()).is_none(), ours, "{}", text);
        }
    }
}
