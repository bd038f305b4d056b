//! The values of string and bytes literals.

/// Returns the text of a string literal, which may have the prefix `r`.
pub(super) fn string(literal: &str) -> Result<String, &'static str> {
    let (raw, body) = body(literal)?;
    if raw || !body.contains('\\') {
        return Ok(body);
    }
    let mut text = String::with_capacity(body.len());
    let mut rest = body.as_str();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            text.push(c);
            continue;
        }
        let (value, after) = escape(rest)?;
        text.push(match value {
            Escape::Character(c) => c,
            Escape::Byte(code) | Escape::Unicode(code) => char::from_u32(code).ok_or("invalid unicode code point")?,
        });
        rest = after;
    }
    Ok(text)
}

/// Returns the bytes of a bytes literal, without its prefix `b`: escapes by number are bytes, and there are none by code point.
pub(super) fn bytes(literal: &str) -> Result<Vec<u8>, &'static str> {
    let (raw, body) = body(literal)?;
    if raw || !body.contains('\\') {
        return Ok(body.into_bytes());
    }
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.as_str();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let (value, after) = escape(rest)?;
        match value {
            Escape::Character(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Escape::Byte(code) => bytes.push(code as u8),
            Escape::Unicode(_) => return Err("unable to unescape string"),
        }
        rest = after;
    }
    Ok(bytes)
}

/// What stands between the quotes, with line ends as `\n`, and whether escapes are left alone.
fn body(literal: &str) -> Result<(bool, String), &'static str> {
    let literal = literal.replace("\r\n", "\n").replace('\r', "\n");
    let raw = literal.starts_with(['r', 'R']);
    let quoted = if raw { &literal[1..] } else { &literal };
    for quotes in ["'''", "\"\"\"", "'", "\""] {
        if quoted.len() >= 2 * quotes.len() && quoted.starts_with(quotes) && quoted.ends_with(quotes) {
            return Ok((raw, quoted[quotes.len()..quoted.len() - quotes.len()].to_owned()));
        }
    }
    Err("unable to unescape string")
}

enum Escape {
    Character(char),
    /// `\x41` or `\101`
    Byte(u32),
    /// `\u0041` or `\U00000041`
    Unicode(u32),
}

/// Reads what follows a backslash.
fn escape(text: &str) -> Result<(Escape, &str), &'static str> {
    const WRONG: &str = "unable to unescape string";
    let kind = text.chars().next().ok_or("unable to unescape string, found '\\' as last character")?;
    let rest = &text[kind.len_utf8()..];
    let number = |digits: &str, radix: u32| u32::from_str_radix(digits, radix).map_err(|_| WRONG);
    let take = |count: usize| rest.get(..count).ok_or(WRONG);
    let character = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '\'' | '"' | '`' | '?' => kind,
        'x' | 'X' => return Ok((Escape::Byte(number(take(2)?, 16)?), &rest[2..])),
        'u' => return Ok((Escape::Unicode(number(take(4)?, 16)?), &rest[4..])),
        'U' => return Ok((Escape::Unicode(number(take(8)?, 16)?), &rest[8..])),
        '0'..='3' => return Ok((Escape::Byte(number(text.get(..3).ok_or(WRONG)?, 8)?), &rest[2..])),
        _ => return Err(WRONG),
    };
    Ok((Escape::Character(character), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings() {
        let cases = [
            (r"'a'", Ok("a")),
            (r#""a\n\t\"""#, Ok("a\n\t\"")),
            ("'''a'b'''", Ok("a'b")),
            (r"r'\n'", Ok("\\n")),
            (r"'\x41\101\u00e9\U0001F600'", Ok("AA\u{e9}\u{1F600}")),
            (r"'\xff'", Ok("\u{ff}")),
            ("'a\r\nb'", Ok("a\nb")),
            (r"'\ud800'", Err("invalid unicode code point")),
            (r"'\?\`'", Ok("?`")),
            ("''", Ok("")),
        ];
        for (literal, expected) in cases {
            assert_eq!(string(literal), expected.map(str::to_owned), "{literal}");
        }
    }

    #[test]
    fn bytes_by_number() {
        assert_eq!(bytes(r"'\xff\377é'"), Ok(vec![0xff, 0xff, 0xc3, 0xa9]));
        assert_eq!(bytes(r"'é'"), Ok(vec![0xc3, 0xa9]));
        assert_eq!(bytes(r"'\u0041'"), Err("unable to unescape string"));
    }
}
