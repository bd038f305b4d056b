//! What the server is told at its start, and what it reads of the node's resolver configuration.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::Name;
use ipnet::IpNet;

const DNS_PORT: u16 = 53;
/// As the resolver of the C library.
const UPSTREAMS_MAX: usize = 3;

#[derive(Clone, Debug)]
pub struct Options {
    /// The zone that the cluster's names are in: `cluster.local`.
    pub cluster_domain: String,
    /// Under which addresses pods reach this server: what `ns.dns` in the zone answers.
    pub service_ips: Vec<IpAddr>,
    /// How long clients may remember answers about the cluster.
    pub ttl_seconds: u32,
    /// The cluster's ranges of Services and pods. What has no name there has none anywhere, so nobody else is asked.
    pub reverse_ranges: Vec<IpNet>,
    /// The addresses of pods: they are answered, and the node itself; nobody else is.
    pub client_ranges: Vec<IpNet>,
    /// Who is asked for all other names, in order. Empty means that they are refused.
    pub upstreams: Vec<SocketAddr>,
    /// The longest that answers of others are kept.
    pub cache_seconds_max: u32,
    /// How many answers of others are kept.
    pub cache_entries_max: usize,
    /// How long one upstream may take.
    pub upstream_timeout: Duration,
    /// How many clients' questions may wait for upstreams at a time. More are answered with a server failure.
    pub forwards_max: usize,
    pub tcp_connections_max: usize,
    pub tcp_idle_timeout: Duration,
}

impl Options {
    pub fn new(cluster_domain: impl Into<String>) -> Self {
        Self {
            cluster_domain: cluster_domain.into(),
            service_ips: Vec::new(),
            ttl_seconds: 5,
            reverse_ranges: Vec::new(),
            client_ranges: Vec::new(),
            upstreams: Vec::new(),
            cache_seconds_max: 30,
            cache_entries_max: 10_000,
            upstream_timeout: Duration::from_secs(2),
            forwards_max: 1000,
            tcp_connections_max: 256,
            tcp_idle_timeout: Duration::from_secs(10),
        }
    }
}

/// The zone as a name; one that cannot be a name is the root's, under which nothing of the cluster is found.
pub(crate) fn zone_name(domain: &str) -> Name {
    let mut name = Name::from_ascii(domain.trim_end_matches('.')).unwrap_or_else(|_| Name::root());
    name.set_fqdn(true);
    name.to_lowercase()
}

/// The `nameserver` lines of a resolv.conf, without `own` addresses: a server that asks itself never gets an answer.
pub fn upstreams_of(resolv_conf: &str, own: &[IpAddr]) -> Vec<SocketAddr> {
    let addresses = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        if words.next()? != "nameserver" {
            return None;
        }
        // A link-local address may carry its interface; without it the address is of no use.
        words.next()?.parse::<IpAddr>().ok()
    });
    let mut upstreams: Vec<SocketAddr> = Vec::new();
    for address in addresses.filter(|address| !own.contains(address)) {
        let upstream = SocketAddr::new(address, DNS_PORT);
        if !upstreams.contains(&upstream) && upstreams.len() < UPSTREAMS_MAX {
            upstreams.push(upstream);
        }
    }
    upstreams
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers() {
        let text = "# nameserver 9.9.9.9\nsearch a b\nnameserver 10.96.0.10\nnameserver 1.1.1.1 # one\n\tnameserver\t2001:db8::1\n\
            nameserver 1.1.1.1\nnameserver bad\nnameserver fe80::1%eth0\nnameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver";
        let own = ["10.96.0.10".parse().unwrap()];
        let upstreams: Vec<_> = upstreams_of(text, &own).iter().map(ToString::to_string).collect();
        assert_eq!(upstreams, ["1.1.1.1:53", "[2001:db8::1]:53", "8.8.8.8:53"]);
    }

    #[test]
    fn zones() {
        for text in ["cluster.local", "Cluster.LOCAL."] {
            assert_eq!(zone_name(text).to_ascii(), "cluster.local.");
        }
        assert!(zone_name("a..b").is_root());
    }
}
