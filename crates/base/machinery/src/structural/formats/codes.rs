//! Numbers and codes that are written in digits: UUIDs, ISBNs, cards, colours, base64.

pub(super) fn is_object_id(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn is_uuid(text: &str) -> bool {
    uuid(text).is_some()
}

pub(super) fn is_uuid3(text: &str) -> bool {
    uuid(text).is_some_and(|digits| digits[12] == b'3')
}

pub(super) fn is_uuid4(text: &str) -> bool {
    is_random_or_named(text, b'4')
}

pub(super) fn is_uuid5(text: &str) -> bool {
    is_random_or_named(text, b'5')
}

fn is_random_or_named(text: &str, version: u8) -> bool {
    uuid(text)
        .is_some_and(|digits| digits[12] == version && matches!(digits[16], b'8' | b'9' | b'a' | b'b' | b'A' | b'B'))
}

/// The 32 digits of a UUID, each of whose dashes may be missing.
fn uuid(text: &str) -> Option<[u8; 32]> {
    let mut digits = [0; 32];
    let mut bytes = text.bytes().peekable();
    for (place, digit) in digits.iter_mut().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            bytes.next_if_eq(&b'-');
        }
        *digit = bytes.next().filter(u8::is_ascii_hexdigit)?;
    }
    bytes.next().is_none().then_some(digits)
}

pub(super) fn is_isbn(text: &str) -> bool {
    is_isbn10(text) || is_isbn13(text)
}

pub(super) fn is_isbn10(text: &str) -> bool {
    let code = without_gaps(text);
    if code.len() != 10 {
        return false;
    }
    let digit = |(place, byte): (usize, &u8)| match byte {
        b'0'..=b'9' => Some((place as u32 + 1) * u32::from(byte - b'0')),
        b'X' if place == 9 => Some(100),
        _ => None,
    };
    code.iter().enumerate().map(digit).sum::<Option<u32>>().is_some_and(|sum| sum % 11 == 0)
}

pub(super) fn is_isbn13(text: &str) -> bool {
    let code = without_gaps(text);
    if code.len() != 13 || !code.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let weighed = |(place, byte): (usize, &u8)| u32::from(byte - b'0') * if place % 2 == 0 { 1 } else { 3 };
    code.iter().enumerate().map(weighed).sum::<u32>() % 10 == 0
}

/// The bytes of a code without its spaces and dashes.
fn without_gaps(text: &str) -> Vec<u8> {
    text.bytes().filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' | b'-')).collect()
}

/// A card of a known company, by its first digits and length, with a right checksum; whatever stands between the digits.
pub(super) fn is_credit_card(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let prefix = |len: usize| digits.iter().take(len).fold(0, |number, digit| number * 10 + digit);
    let is_known = match digits.len() {
        13 => prefix(1) == 4,
        14 => matches!(prefix(2), 36 | 38) || (300..=305).contains(&prefix(3)),
        15 => matches!(prefix(2), 34 | 37) || matches!(prefix(4), 2131 | 1800),
        16 => {
            prefix(1) == 4 || (51..=55).contains(&prefix(2)) || prefix(2) == 35 || prefix(2) == 65 || prefix(4) == 6011
        }
        _ => false,
    };
    let doubled = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, digit * 2) {
        (0, _) => *digit,
        (_, twice) => twice / 10 + twice % 10,
    });
    is_known && doubled.sum::<u32>() % 10 == 0
}

/// A U.S. social security number with both its separators.
pub(super) fn is_ssn(text: &str) -> bool {
    let is_fine = |(place, byte): (usize, u8)| match place {
        3 | 6 => matches!(byte, b'-' | b' '),
        _ => byte.is_ascii_digit(),
    };
    text.len() == 11 && text.bytes().enumerate().all(is_fine)
}

pub(super) fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `rgb(0, 127, 255)`.
pub(super) fn is_rgb_color(text: &str) -> bool {
    const SPACE: [char; 5] = ['\t', '\n', '\x0c', '\r', ' '];
    let Some(inside) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) else { return false };
    let is_part = |part: &str| {
        let part = part.trim_matches(SPACE);
        let has_leading_zero = part.len() > 1 && part.starts_with('0');
        part.bytes().all(|byte| byte.is_ascii_digit()) && !has_leading_zero && part.parse::<u8>().is_ok()
    };
    inside.split(',').count() == 3 && inside.split(',').all(is_part)
}

/// Base64 of at least one byte, of the standard alphabet, padded.
pub(super) fn is_base64(text: &str) -> bool {
    let code = text.as_bytes();
    let padding = code.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !code.is_empty() && code.len().is_multiple_of(4) && code[..code.len() - padding].iter().all(is_digit)
}
