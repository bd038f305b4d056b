//! IP addresses, as expressions may write them.

use std::net::{IpAddr, Ipv6Addr};

use crate::error::Error;

/// Reads an address as expressions may write it: without a zone, and not IPv4 in IPv6.
pub(crate) fn parse(text: &str) -> Result<IpAddr, Error> {
    if let Some((address, zone)) = text.split_once('%')
        && !zone.is_empty()
        && address.parse::<Ipv6Addr>().is_ok()
    {
        return Err(Error::Argument(format!("IP address {text:?} with zone value is not allowed")));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        let why = why_not(text);
        Error::Argument(format!("IP Address {text:?} parse error during conversion from string: {why}"))
    })?;
    if is_mapped(&address) {
        return Err(Error::Argument(format!("IPv4-mapped IPv6 address {text:?} is not allowed")));
    }
    Ok(address)
}

pub(crate) fn is_mapped(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// Go's words for the first thing that is wrong with an address.
pub(crate) fn why_not(text: &str) -> String {
    let error = |why: &str| format!("ParseAddr({text:?}): {why}");
    let at = |why: &str, rest: &str| format!("ParseAddr({text:?}): {why} (at {rest:?})");
    match text.find(['.', ':', '%']) {
        Some(index) if text[index..].starts_with('.') => {
            let fields: Vec<&str> = text.split('.').collect();
            let mut position = 0;
            for (number, field) in fields.iter().enumerate() {
                if let Some(wrong) = field.find(|c: char| !c.is_ascii_digit()) {
                    return at("unexpected character", &text[position + wrong..]);
                }
                if field.is_empty() {
                    let rest = &text[position.saturating_sub(usize::from(position == text.len()))..];
                    return at("IPv4 field must have at least one digit", rest);
                }
                if field.len() > 1 && field.starts_with('0') {
                    return error("IPv4 field has octet with leading zero");
                }
                if field.parse::<u32>().is_ok_and(|octet| octet > 255) || field.len() > 3 {
                    return error("IPv4 field has value >255");
                }
                if number == 4 {
                    return error("IPv4 address too long");
                }
                position += field.len() + 1;
            }
            error("IPv4 address too short")
        }
        Some(index) if text[index..].starts_with('%') => error("missing IPv6 address"),
        Some(_) => error("unexpected character"),
        None => error("unable to parse IP"),
    }
}
