//! Addresses and host names.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;

use regex::Regex;

/// Letters and symbols of any script, which host names may have. A single class: the bounded repetition of upstream's expression
/// would compile to megabytes.
static HOST_CHARACTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[a-zA-Z0-9\p{S}\p{L}]$").ok());
static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}$").ok());

fn is_one_of(c: char, class: &LazyLock<Option<Regex>>) -> bool {
    class.as_ref().is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
}

fn is_host_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || (c != '-' && c != '.' && is_one_of(c, &HOST_CHARACTER))
}

/// A host name as kube-openapi has it: a lone label may have a dash as its second character only; with dots, the last label is
/// made of letters.
pub(super) fn is_hostname(text: &str) -> bool {
    if text.len() > 255 || text.split('.').any(|label| label.len() > 63) {
        return false;
    }
    match text.rsplit_once('.') {
        None => {
            let mut chars = text.chars().peekable();
            let begins = chars.next().is_some_and(is_host_character);
            chars.next_if_eq(&'-');
            begins && chars.clone().count() <= 62 && chars.all(is_host_character)
        }
        Some((labels, last)) => {
            let is_letter = |c: char| c.is_ascii_alphabetic() || is_one_of(c, &LETTER);
            labels.split('.').all(is_host_label)
                && (2..=63).contains(&last.chars().count())
                && last.chars().all(is_letter)
        }
    }
}

fn is_host_label(label: &str) -> bool {
    label.starts_with(is_host_character)
        && label.ends_with(is_host_character)
        && label.chars().count() <= 63
        && label.chars().all(|c| c == '-' || is_host_character(c))
}

/// An IPv4 address, in which numbers may have leading zeros, or an IPv6 address that ends with one.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && parse_lenient(text).is_some()
}

pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let bits_max = match parse_lenient(address) {
        Some(IpAddr::V4(_)) => 32,
        Some(IpAddr::V6(_)) => 128,
        None => return false,
    };
    let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    is_number && bits.parse::<u64>().is_ok_and(|bits| bits <= bits_max)
}

/// An address as Go read it before 1.17.
fn parse_lenient(text: &str) -> Option<IpAddr> {
    let Some((head, tail)) = text.rsplit_once(':') else {
        return parse_ipv4(text).map(|[a, b, c, d]| [a, b, c, d].into());
    };
    if !tail.contains('.') {
        return text.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    let [a, b, c, d] = parse_ipv4(tail)?;
    format!("{head}:{a}.{b}.{c}.{d}").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn parse_ipv4(text: &str) -> Option<[u8; 4]> {
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        let part = part.trim_start_matches('0');
        *octet = if part.is_empty() { 0 } else { part.parse().ok()? };
    }
    parts.next().is_none().then_some(octets)
}

/// A hardware address of 6, 8 or 20 bytes: in pairs (`00:1b`, `00-1b`), in fours (`001b.638a`), or undivided.
pub(super) fn is_mac(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (group, separator) = match (bytes.get(2), bytes.get(4)) {
        (Some(separator @ (b':' | b'-')), _) => (2, *separator),
        (_, Some(b'.')) => (4, b'.'),
        _ => return matches!(bytes.len(), 12 | 16 | 40) && bytes.iter().all(u8::is_ascii_hexdigit),
    };
    let groups: Vec<&[u8]> = bytes.split(|byte| *byte == separator).collect();
    let is_group = |part: &&[u8]| part.len() == group && part.iter().all(u8::is_ascii_hexdigit);
    matches!(groups.len() * group, 12 | 16 | 40) && groups.iter().all(is_group)
}
