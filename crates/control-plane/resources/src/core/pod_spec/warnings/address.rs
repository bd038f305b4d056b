//! Addresses that validation still takes, and that should be written otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address that is written otherwise than it should be.
pub(super) fn of_address(path: &str, written: &str) -> Option<String> {
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

/// An IPv4 address whose numbers have leading zeros, as validation still takes them.
fn sloppy(written: &str) -> Option<IpAddr> {
    let (prefix, rest) = written.rsplit_once(':').map_or(("", written), |(prefix, rest)| (prefix, rest));
    let numbers: Vec<u8> = rest.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let plain = Ipv4Addr::from(<[u8; 4]>::try_from(numbers).ok()?);
    if prefix.is_empty() {
        return Some(IpAddr::V4(plain));
    }
    let address: Ipv6Addr = format!("{prefix}:{plain}").parse().ok()?;
    Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
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
        ] {
            assert_eq!(of_address("p", written).as_deref(), expected, "{written}");
        }
    }
}
