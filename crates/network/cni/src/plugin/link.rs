//! Names and hardware addresses of a sandbox's links, which follow from what the runtime calls it.

use std::net::IpAddr;

use windlass_dataplane::route::Mac;

/// The node's ends are called `wl` and thirteen hexadecimal digits; Linux allows fifteen characters.
pub(super) const PREFIX: &str = "wl";

/// All node's ends share one hardware address: each is the only neighbour on its link.
pub(super) const NODE_MAC: Mac = Mac([0xee, 0xee, 0xee, 0xee, 0xee, 0xee]);

/// The name of the node's end of an attachment. 52 bits of a hash: a clash among a thousand sandboxes has a chance of one in
/// nine billion, and shows as "file exists" on ADD.
pub(super) fn node_name(container_id: &str, if_name: &str) -> String {
    let text = format!("{container_id}\0{if_name}");
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{PREFIX}{:013x}", hash >> 12)
}

/// The sandbox's hardware address, made of its address as other plugins do it.
pub(super) fn sandbox_mac(address: IpAddr) -> Mac {
    let [a, b, c, d] = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
    };
    Mac([0x0a, 0x58, a, b, c, d])
}

/// What sandboxes take for their router.
pub(super) fn gateway(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => [169, 254, 1, 1].into(),
        IpAddr::V6(_) => [0xfe80, 0, 0, 0, 0, 0, 0, 1].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_and_short() {
        assert_eq!(node_name("c", "eth0"), node_name("c", "eth0"));
        assert_ne!(node_name("c", "eth0"), node_name("c", "eth1"));
        assert_ne!(node_name("ce", "th0"), node_name("c", "eth0"));
        assert_eq!(node_name(&"f".repeat(64), "eth0").len(), 15);
        assert_eq!(sandbox_mac("10.244.0.5".parse().unwrap()).to_string(), "0a:58:0a:f4:00:05");
    }
}
