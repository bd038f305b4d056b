//! URIs as Go's `url.ParseRequestURI` reads them: absolute, or a path that begins with a slash.

use std::net::Ipv6Addr;

pub(super) fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else { return false };
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        return !scheme.is_empty();
    }
    let Some(authority) = rest.strip_prefix("//").filter(|_| !scheme.is_empty()) else { return is_unescaped(rest) };
    let (authority, path) = authority.split_at(authority.find('/').unwrap_or(authority.len()));
    is_authority(scheme, authority) && is_unescaped(path)
}

/// The scheme, empty where there is none, and the rest; `None` for a colon at the beginning.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if place > 0 => {}
            b':' if place == 0 => return None,
            b':' => return Some((&text[..place], &text[place + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

fn is_authority(scheme: &str, authority: &str) -> bool {
    let Some((user, host)) = authority.rsplit_once('@') else { return is_host(scheme, authority) };
    let is_of_user = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
    is_host(scheme, host) && user.bytes().all(is_of_user) && is_unescaped(user)
}

fn is_host(scheme: &str, host: &str) -> bool {
    match host.rfind('[') {
        Some(0) => {
            let Some((literal, port)) = host[1..].rsplit_once(']') else { return false };
            return is_port(port) && is_ipv6_literal(literal);
        }
        Some(_) => return false,
        None => {}
    }
    if let Some(first) = host.find(':') {
        let last = host.rfind(':').unwrap_or(first);
        // Other schemes have lists of hosts here.
        let is_strict = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if !is_port(&host[if is_strict { first } else { last }..]) {
            return false;
        }
    }
    unescape_host(host).is_some()
}

fn is_ipv6_literal(literal: &str) -> bool {
    let (address, zone) = match literal.find("%25") {
        Some(place) => (&literal[..place], unescape_zone(&literal[place..])),
        None => (literal, Some(String::new())),
    };
    let (Some(address), Some(zone)) = (unescape_host(address), zone) else { return false };
    let whole = address + &zone;
    match whole.split_once('%') {
        Some((address, zone)) => !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok(),
        None => whole.parse::<Ipv6Addr>().is_ok(),
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether each percent sign begins an escape.
fn is_unescaped(text: &str) -> bool {
    text.split('%').skip(1).all(|part| escaped(part).is_some())
}

/// The byte whose two digits the text begins with.
fn escaped(text: &str) -> Option<u8> {
    let digits = text.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// A host in which only what is no ASCII is escaped.
fn unescape_host(text: &str) -> Option<String> {
    unescape(text, |byte| byte >= 0x80)
}

/// The zone of an IPv6 address with its percent sign, in which anything may be escaped that a host could have.
fn unescape_zone(text: &str) -> Option<String> {
    unescape(text, |byte| byte == b'%' || byte == b' ' || byte >= 0x80 || is_of_host(byte))
}

fn unescape(text: &str, may_be_escaped: impl Fn(u8) -> bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&byte) = rest.as_bytes().first() {
        if byte == b'%' {
            let byte = escaped(&rest[1..]).filter(|byte| may_be_escaped(*byte) || rest.starts_with("%25"))?;
            bytes.push(byte);
            rest = &rest[3..];
            continue;
        }
        let c = rest.chars().next()?;
        if c.is_ascii() && !is_of_host(byte) {
            return None;
        }
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[c.len_utf8()..];
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}
