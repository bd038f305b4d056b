//! What the proxy is told at its start.

use std::net::IpAddr;

use ipnet::IpNet;
use windlass_dataplane::nftables::Family;

/// How packets of this cluster's own pods are known. Others are masqueraded on their way to a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalTraffic {
    /// By their source address (upstream's `detectLocalMode: ClusterCIDR` and `NodeCIDR`).
    Cidrs(Vec<IpNet>),
    /// By the beginning of the name of the link they come from (`InterfaceNamePrefix`).
    InterfacePrefix(String),
    /// By the link they come from (`BridgeInterface`).
    Interface(String),
    /// Not at all: nothing is masqueraded for coming from outside.
    #[default]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `spec.nodeName` of the endpoints that are local.
    pub node_name: String,
    /// The node's zone, for topology hints.
    pub zone: Option<String>,
    /// The node's addresses, the primary one of each family first.
    pub node_ips: Vec<IpAddr>,
    /// The ranges from which Services get their addresses. Their families are the ones that are served.
    pub service_cidrs: Vec<IpNet>,
    pub local_traffic: LocalTraffic,
    /// Masquerade everything that goes to a Service.
    pub masquerade_all: bool,
    /// The bit of the packet's mark that means "masquerade": 14 upstream.
    pub masquerade_bit: u8,
    /// Where NodePorts answer: on all addresses of the node, or on those within these ranges.
    pub node_port_addresses: Vec<IpNet>,
    /// Whether NodePorts answer on 127.0.0.1. Sets `route_localnet`, and drops what neighbours would reach by it.
    pub localhost_node_ports: bool,
    /// The largest packet that processes of the node send to a Service: the MTU of the pod network.
    pub mtu: u32,
}

impl Options {
    pub fn new(node_name: impl Into<String>, node_ips: Vec<IpAddr>, service_cidrs: Vec<IpNet>) -> Self {
        Self {
            node_name: node_name.into(),
            zone: None,
            node_ips,
            service_cidrs,
            local_traffic: LocalTraffic::Unknown,
            masquerade_all: false,
            masquerade_bit: 14,
            node_port_addresses: Vec::new(),
            localhost_node_ports: true,
            mtu: 1500,
        }
    }

    /// The address families that are served.
    pub(crate) fn families(&self) -> Vec<Family> {
        let has = |family| self.service_cidrs.iter().any(|net| Family::of(net.addr()) == family);
        [Family::Ipv4, Family::Ipv6].into_iter().filter(|family| has(*family)).collect()
    }

    pub(crate) fn masquerade_mark(&self) -> u32 {
        1_u32.checked_shl(u32::from(self.masquerade_bit)).unwrap_or(1 << 14)
    }
}

/// The ranges of one family.
pub(crate) fn of_family(nets: &[IpNet], family: Family) -> impl Iterator<Item = IpNet> + '_ {
    nets.iter().copied().filter(move |net| Family::of(net.addr()) == family)
}
