//! Writing DER (ITU-T X.690): the few forms that keys and certificates need.
//!
//! Values are built from the inside out as byte vectors. Reading is x509-parser's business.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// A tag, the length and the contents.
pub(crate) fn tlv(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(contents.len() + 6);
    out.push(tag);
    let length = contents.len();
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
        out.push(0x80 | (bytes.len() - first) as u8);
        out.extend_from_slice(&bytes[first..]);
    }
    out.extend_from_slice(contents);
    out
}

pub(crate) fn sequence<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    tlv(SEQUENCE, &join(parts))
}

fn join<T: AsRef<[u8]>>(parts: &[T]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.as_ref()).copied().collect()
}

/// A SET OF, whose members DER sorts.
pub(crate) fn set_of(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(SET, &join(&parts))
}

/// A constructed value under a context-specific tag.
pub(crate) fn context(number: u8, contents: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, contents)
}

/// A primitive value under a context-specific tag.
pub(crate) fn context_primitive(number: u8, contents: &[u8]) -> Vec<u8> {
    tlv(0x80 | number, contents)
}

/// An unsigned number in big-endian order.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let digits = &bytes[first..];
    // A set first bit would make the number negative; no digits are zero.
    if digits.first().is_none_or(|digit| digit & 0x80 != 0) {
        tlv(INTEGER, &[&[0], digits].concat())
    } else {
        tlv(INTEGER, digits)
    }
}

pub(crate) fn boolean(value: bool) -> Vec<u8> {
    tlv(BOOLEAN, &[if value { 0xff } else { 0 }])
}

pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], bytes].concat())
}

/// Flags by number; trailing zeros are left out, as DER wants of named bits.
pub(crate) fn flags(numbers: &[u8]) -> Vec<u8> {
    let Some(last) = numbers.iter().max() else { return tlv(BIT_STRING, &[0]) };
    let mut contents = vec![0_u8; usize::from(last / 8) + 2];
    contents[0] = 7 - last % 8;
    for number in numbers {
        contents[usize::from(number / 8) + 1] |= 0x80 >> (number % 8);
    }
    tlv(BIT_STRING, &contents)
}

pub(crate) fn octet_string(bytes: &[u8]) -> Vec<u8> {
    tlv(OCTET_STRING, bytes)
}

/// `encoded` is the object identifier's contents.
pub(crate) fn oid(encoded: &[u8]) -> Vec<u8> {
    tlv(OBJECT_IDENTIFIER, encoded)
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tlv(UTF8_STRING, text.as_bytes())
}

pub(crate) fn null() -> Vec<u8> {
    vec![0x05, 0]
}

/// An instant as RFC 5280 wants it: two digits for the year until 2049, four from then on.
pub(crate) fn time(at: Timestamp) -> Vec<u8> {
    let civil = at.to_zoned(TimeZone::UTC);
    if (1950..2050).contains(&civil.year()) {
        tlv(UTC_TIME, civil.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        tlv(GENERALIZED_TIME, civil.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(flags(&[0]), [3, 2, 7, 0x80]);
        assert_eq!(flags(&[5, 6]), [3, 2, 1, 0x06]);
        assert_eq!(flags(&[8]), [3, 3, 7, 0, 0x80]);
        assert_eq!(flags(&[]), [3, 1, 0]);
        assert_eq!(tlv(SEQUENCE, &[0; 127])[..2], [0x30, 127]);
        assert_eq!(tlv(SEQUENCE, &[0; 128])[..3], [0x30, 0x81, 128]);
        assert_eq!(tlv(SEQUENCE, &[0; 300])[..4], [0x30, 0x82, 1, 44]);
        assert_eq!(set_of(vec![vec![2], vec![1]]), [SET, 2, 1, 2]);
    }

    #[test]
    fn times() {
        let shown = |text: &str| {
            let bytes = time(text.parse().unwrap());
            (bytes[0], String::from_utf8(bytes[2..].to_vec()).unwrap())
        };
        assert_eq!(shown("2049-12-31T23:59:59Z"), (UTC_TIME, "491231235959Z".into()));
        assert_eq!(shown("2050-01-01T00:00:00Z"), (GENERALIZED_TIME, "20500101000000Z".into()));
    }
}
