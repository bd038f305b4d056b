//! Ranges of IP addresses: `10.0.0.0/8`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ip;
use crate::error::Error;

/// An address and how many of its bits the range has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub(crate) address: IpAddr,
    pub(crate) bits: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Cidr {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let during = "network address parse error during conversion from string";
        let wrong = |why: &str| Error::Argument(format!("{during}: netip.ParsePrefix({text:?}): {why}"));
        let Some((address_text, bits)) = text.rsplit_once('/') else { return Err(wrong("no '/'")) };
        let address: IpAddr = address_text.parse().map_err(|_| wrong(&ip::why_not(address_text)))?;
        let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        if !digits || (bits.len() > 1 && bits.starts_with('0')) {
            return Err(wrong(&format!("bad bits after slash: {bits:?}")));
        }
        let max = if address.is_ipv4() { 32 } else { 128 };
        match bits.parse::<u8>() {
            Ok(bits) if bits <= max && ip::is_mapped(&address) => {
                Err(Error::Argument(format!("IPv4-mapped IPv6 address {text:?} is not allowed")))
            }
            Ok(bits) if bits <= max => Ok(Self { address, bits }),
            _ => Err(wrong("prefix length out of range")),
        }
    }

    pub(crate) fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
            }
        };
        Self { address, bits: self.bits }
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Self { address, bits: self.bits }.masked().address == self.masked().address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = Cidr::parse("10.1.2.3/8").unwrap();
        assert_eq!(range.masked().to_string(), "10.0.0.0/8");
        assert!(range.contains("10.200.0.1".parse().unwrap()));
        assert!(!range.contains("11.0.0.1".parse().unwrap()));
        assert!(!range.contains("::1".parse().unwrap()));
        assert!(Cidr::parse("::/0").unwrap().contains("2001:db8::1".parse().unwrap()));
        for text in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "::ffff:1.2.3.4/100"] {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
    }
}
