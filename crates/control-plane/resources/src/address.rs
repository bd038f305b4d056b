//! Addresses and ranges of them that are not written as they should be: what validation of old fields still takes, and what is said of it.
//!
//! Source: apimachinery `util/validation/ip.go`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address that is written otherwise than it should be.
pub(crate) fn warning(path: &str, written: &str) -> Option<String> {
    match written.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => None,
        Ok(IpAddr::V6(address)) => {
            if let Some(inner) = address.to_ipv4_mapped() {
                return Some(format!("{path}: non-standard IP address {written:?} is invalid: use \"{inner}\""));
            }
            let canonical = address.to_string();
            let what = format!("IPv6 address {written:?} should be in RFC 5952 canonical format ({canonical:?})");
            (canonical != written).then(|| format!("{path}: {what}"))
        }
        Err(_) => {
            let inner = sloppy(written)?;
            Some(format!("{path}: non-standard IP address {written:?} is invalid: use \"{inner}\""))
        }
    }
}

/// A range of addresses that is written otherwise than it should be.
pub(crate) fn range_warning(path: &str, written: &str) -> Option<String> {
    let (address, prefix_length) = written.split_once('/')?;
    let plain = sloppy(address)?;
    // Of an IPv4 address in IPv6 form, the last 32 bits are the address.
    let mapped = plain.is_ipv4() && address.contains(':');
    let length = prefix_length.parse::<u8>().ok()?;
    let plain = ipnet::IpNet::new(plain, if mapped { length.checked_sub(96)? } else { length }).ok()?;
    let net = plain.trunc();
    // The reader of ranges takes leading zeros, that of addresses does not.
    let is_standard = address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical() == address);
    let what = if plain != net {
        let one = format!("{}/{}", plain.addr(), plain.max_prefix_len());
        format!("CIDR value {written:?} is ambiguous in this context (should be \"{net}\" or {one:?}?)")
    } else if !is_standard || has_leading_zeros(prefix_length) {
        format!("non-standard CIDR value {written:?} is invalid: use \"{net}\"")
    } else if net.to_string() != written {
        format!("IPv6 CIDR value {written:?} should be in RFC 5952 canonical format (\"{net}\")")
    } else {
        return None;
    };
    Some(format!("{path}: {what}"))
}

pub(crate) fn has_leading_zeros(number: &str) -> bool {
    number.len() > 1 && number.starts_with('0')
}

/// An address whose IPv4 numbers may have leading zeros. One that is mapped into IPv6 is the IPv4 address.
pub(crate) fn sloppy(written: &str) -> Option<IpAddr> {
    if let Ok(address) = written.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (prefix, rest) = written.rsplit_once(':').map_or(("", written), |(prefix, rest)| (prefix, rest));
    // Rust would take a sign.
    let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u8>().ok())?;
    let numbers: Vec<u8> = rest.split('.').map(number).collect::<Option<_>>()?;
    let plain = Ipv4Addr::from(<[u8; 4]>::try_from(numbers).ok()?);
    if prefix.is_empty() {
        return Some(IpAddr::V4(plain));
    }
    let address: Ipv6Addr = format!("{prefix}:{plain}").parse().ok()?;
    Some(IpAddr::V6(address).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_addresses_should_be_written() {
        for (written, expected) in [
            ("1.2.3.4", None),
            ("fd00::1", None),
            ("FD00::1", Some(r#"p: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")"#)),
            ("010.0.0.1", Some(r#"p: non-standard IP address "010.0.0.1" is invalid: use "10.0.0.1""#)),
            ("::ffff:1.2.3.4", Some(r#"p: non-standard IP address "::ffff:1.2.3.4" is invalid: use "1.2.3.4""#)),
            ("nothing", None),
            ("+1.2.3.4", None),
        ] {
            assert_eq!(warning("p", written).as_deref(), expected, "{written}");
        }
        for (written, expected) in [
            ("10.0.0.0/8", None),
            ("fd00::/64", None),
            ("nothing/8", None),
            (
                "::ffff:1.2.3.0/120",
                Some(r#"p: non-standard CIDR value "::ffff:1.2.3.0/120" is invalid: use "1.2.3.0/24""#),
            ),
            (
                "1.2.3.4/8",
                Some(
                    r#"p: CIDR value "1.2.3.4/8" is ambiguous in this context (should be "1.0.0.0/8" or "1.2.3.4/32"?)"#,
                ),
            ),
            ("010.0.0.0/8", Some(r#"p: non-standard CIDR value "010.0.0.0/8" is invalid: use "10.0.0.0/8""#)),
            ("10.0.0.0/08", Some(r#"p: non-standard CIDR value "10.0.0.0/08" is invalid: use "10.0.0.0/8""#)),
            (
                "FD00::/64",
                Some(r#"p: IPv6 CIDR value "FD00::/64" should be in RFC 5952 canonical format ("fd00::/64")"#),
            ),
        ] {
            assert_eq!(range_warning("p", written).as_deref(), expected, "{written}");
        }
    }
}
