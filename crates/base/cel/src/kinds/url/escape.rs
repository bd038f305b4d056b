//! Percent-escapes in the parts of URLs.

use windlass_api::text::quoted;

/// The part of a URL; each leaves other characters as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Host,
    Zone,
    User,
    Query,
    Fragment,
}

fn is_plain(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
        return true;
    }
    let others: &[u8] = match part {
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Path => b"$&+,/:;=@",
        Part::User => b"$&+,;=",
        Part::Query => b"",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    others.contains(&byte)
}

pub(super) fn escaped(bytes: &[u8], part: Part) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if is_plain(*byte, part) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Whether a text could be the escaped form of a part.
pub(super) fn is_encoded(text: &str, part: Part) -> bool {
    text.bytes().all(|byte| b"!$&'()*+,;=:@[]%".contains(&byte) || is_plain(byte, part))
}

/// Returns what escapes stand for, or what is wrong with them.
pub(super) fn unescaped(text: &str, part: Part) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte != b'%' {
            if matches!(part, Part::Host | Part::Zone) && byte < 0x80 && !is_plain(byte, part) {
                return Err(format!("invalid character {} in host name", shown(&[byte])));
            }
            out.push(if byte == b'+' && part == Part::Query { b' ' } else { byte });
            at += 1;
            continue;
        }
        let wrong = |length: usize| {
            let sequence = &bytes[at..(at + length).min(bytes.len())];
            Err(format!("invalid URL escape {}", shown(sequence)))
        };
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let Some(value) = hex.filter(|hex| !hex.starts_with('+')).and_then(|hex| u8::from_str_radix(hex, 16).ok())
        else {
            return wrong(3);
        };
        let refused = match part {
            // In a host, only bytes beyond ASCII may be escaped.
            Part::Host => value < 0x80 && value != b'%',
            Part::Zone => value != b'%' && value != b' ' && !is_plain(value, Part::Host),
            _ => false,
        };
        if refused {
            return wrong(3);
        }
        out.push(value);
        at += 3;
    }
    Ok(out)
}

fn shown(bytes: &[u8]) -> String {
    quoted(&String::from_utf8_lossy(bytes))
}
