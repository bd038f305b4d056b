//! Who is answered: pods and the node itself. To everybody else the server is not there.
//!
//! It listens on an address of the node, for that is where packets to its Service are sent; whoever reaches the node reaches the socket. A
//! resolver that is open to strangers tells them what runs in the cluster and lends itself to floods under false addresses.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The node's addresses are read again for an unknown client, but not more often than this: they change rarely, and strangers may be many.
const REREAD_AFTER: Duration = Duration::from_secs(1);

/// Tells clients from strangers.
#[derive(Debug)]
pub(crate) struct Clients {
    /// The addresses of pods.
    ranges: Vec<IpNet>,
    node: Mutex<Node>,
}

#[derive(Debug, Default)]
struct Node {
    addresses: Vec<IpAddr>,
    read: Option<Instant>,
}

impl Clients {
    pub(crate) fn new(ranges: Vec<IpNet>) -> Self {
        Self { ranges, node: Mutex::default() }
    }

    /// Whether this address may ask. Costs a few comparisons for pods, a lock for the node, and at most once in a while a system call for
    /// others.
    pub(crate) fn may_ask(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_loopback() || self.ranges.iter().any(|range| range.contains(&address)) || self.is_node(address)
    }

    fn is_node(&self, address: IpAddr) -> bool {
        let mut node = self.node.lock();
        if node.addresses.contains(&address) {
            return true;
        }
        let now = Instant::now();
        if node.read.is_some_and(|read| now.duration_since(read) < REREAD_AFTER) {
            return false;
        }
        node.read = Some(now);
        node.addresses = own_addresses();
        node.addresses.contains(&address)
    }
}

fn own_addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    addresses.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_the_node() {
        let clients = Clients::new(vec!["10.244.0.0/16".parse().unwrap()]);
        for (address, expected) in [
            ("10.244.3.4", true),
            ("::ffff:10.244.3.4", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("10.245.0.1", false),
            ("203.0.113.9", false),
            ("2001:db8::9", false),
        ] {
            assert_eq!(clients.may_ask(address.parse().unwrap()), expected, "{address}");
        }
        for own in own_addresses() {
            assert!(Clients::new(Vec::new()).may_ask(own), "{own}");
        }
    }
}
