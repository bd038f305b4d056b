//! Arithmetic on address ranges, the same for both families.

use std::net::IpAddr;

use ipnet::IpNet;

pub(crate) fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of the same family as `like` with this number; numbers beyond the family's last address wrap.
pub(crate) fn from_number(number: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4((number as u32).into()),
        IpAddr::V6(_) => IpAddr::V6(number.into()),
    }
}

/// The address at a position of the range, if the range is that long.
pub(crate) fn nth(range: IpNet, position: u64) -> Option<IpAddr> {
    if u128::from(position) >= len(range) {
        return None;
    }
    Some(from_number(to_number(range.network()) + u128::from(position), range.addr()))
}

/// The position of an address in the range.
pub(crate) fn position(range: IpNet, address: IpAddr) -> Option<u64> {
    if !range.contains(&address) {
        return None;
    }
    u64::try_from(to_number(address) - to_number(range.network())).ok()
}

/// How many addresses the range has; the whole of IPv6 counts as one less than it has.
pub(crate) fn len(range: IpNet) -> u128 {
    1_u128.checked_shl(u32::from(range.max_prefix_len() - range.prefix_len())).unwrap_or(u128::MAX)
}

/// The part of `range` with this number when it is cut into ranges of `prefix_len`.
pub(crate) fn part(range: IpNet, prefix_len: u8, number: u64) -> Option<IpNet> {
    let bits = u32::from(range.max_prefix_len().checked_sub(prefix_len)?);
    let start = u128::from(number).checked_shl(bits)?.checked_add(to_number(range.network()))?;
    let part = IpNet::new(from_number(start, range.addr()), prefix_len).ok()?;
    range.contains(&part).then_some(part)
}

/// How many parts of `prefix_len` the range has.
pub(crate) fn parts(range: IpNet, prefix_len: u8) -> u64 {
    match prefix_len.checked_sub(range.prefix_len()) {
        Some(bits) => 1_u64.checked_shl(u32::from(bits)).unwrap_or(u64::MAX),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic() {
        let range: IpNet = "10.244.0.0/16".parse().unwrap();
        assert_eq!(nth(range, 257).unwrap().to_string(), "10.244.1.1");
        assert_eq!(nth(range, 65_536), None);
        assert_eq!(position(range, "10.244.1.1".parse().unwrap()), Some(257));
        assert_eq!(position(range, "10.245.0.0".parse().unwrap()), None);
        assert_eq!(part(range, 26, 5).unwrap().to_string(), "10.244.1.64/26");
        assert_eq!(part(range, 24, 256), None);
        assert_eq!(part(range, 8, 0), None);
        assert_eq!((parts(range, 24), parts(range, 16), parts(range, 8)), (256, 1, 0));
        let range: IpNet = "fd00::/48".parse().unwrap();
        assert_eq!(part(range, 122, 3).unwrap().to_string(), "fd00::c0/122");
        assert_eq!(part(range, 64, 0xffff).unwrap().to_string(), "fd00:0:0:ffff::/64");
        let all: IpNet = "::/0".parse().unwrap();
        assert_eq!((len(all), part(all, 128, u64::MAX).is_some()), (u128::MAX, true));
        assert_eq!(parts("0.0.0.0/0".parse().unwrap(), 32), 1 << 32);
    }
}
