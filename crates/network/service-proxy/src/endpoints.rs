//! A Service port's endpoints: read from slices, and sorted into those that this node may use.
//!
//! The rules are upstream's (pkg/proxy/topology.go and endpointslicecache.go): ready endpoints, or serving ones that are
//! terminating when there is no ready one; topology hints only when every ready endpoint has them and one is for us.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use windlass_dataplane::nftables::Family;

use crate::object::{EndpointSlice, Hint, Protocol};

/// Where packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    pub address: IpAddr,
    pub port: u16,
}

/// An endpoint and what decides on its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub target: Target,
    pub is_local: bool,
    /// Ready and not terminating, or the Service publishes addresses that are not ready.
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    /// Empty when there is no hint.
    pub zone_hints: Box<[Arc<str>]>,
    pub node_hint: NodeHint,
}

/// What the hints say about nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHint {
    Absent,
    /// For this node, perhaps among others.
    ThisNode,
    OtherNodes,
}

/// The name and protocol by which Service ports and endpoint ports find each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortName {
    pub name: String,
    pub protocol: Protocol,
}

/// One EndpointSlice, reduced to what is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    family: Family,
    ports: Vec<(PortName, u16)>,
    /// Endpoints with port 0.
    endpoints: Vec<Endpoint>,
}

impl Slice {
    /// `None` when the slice is not for proxies: of names, or of a headless Service.
    pub fn new(slice: &EndpointSlice, node_name: &str) -> Option<Self> {
        let family = match slice.address_type.as_str() {
            "IPv4" => Family::Ipv4,
            "IPv6" => Family::Ipv6,
            _ => return None,
        };
        if slice.metadata.labels.headless.is_some() || slice.metadata.labels.service_proxy_name.is_some() {
            return None;
        }
        let ports = slice.ports.iter().filter_map(|port| {
            let number = port.port.filter(|number| *number != 0)?;
            Some((PortName { name: port.name.clone().unwrap_or_default(), protocol: port.protocol }, number))
        });
        let endpoints = slice.endpoints.iter().filter_map(|endpoint| {
            // Only the first address counts; the API says that they are fungible.
            let address: IpAddr = endpoint.addresses.first()?.parse().ok()?;
            if Family::of(address) != family {
                return None;
            }
            let conditions = &endpoint.conditions;
            let hints = endpoint.hints.as_ref();
            Some(Endpoint {
                target: Target { address, port: 0 },
                is_local: endpoint.node_name.as_deref().is_some_and(|name| !name.is_empty() && name == node_name),
                ready: conditions.ready.unwrap_or(true),
                serving: conditions.serving.unwrap_or(true),
                terminating: conditions.terminating.unwrap_or(false),
                zone_hints: hints.map(|hints| names(&hints.for_zones)).unwrap_or_default(),
                node_hint: hints.map_or(NodeHint::Absent, |hints| node_hint(&hints.for_nodes, node_name)),
            })
        });
        Some(Self { family, ports: ports.collect(), endpoints: endpoints.collect() })
    }
}

fn names(hints: &[Hint]) -> Box<[Arc<str>]> {
    hints.iter().map(|hint| hint.name.as_str().into()).collect()
}

fn node_hint(hints: &[Hint], node_name: &str) -> NodeHint {
    match hints {
        [] => NodeHint::Absent,
        hints if hints.iter().any(|hint| hint.name == node_name) => NodeHint::ThisNode,
        _ => NodeHint::OtherNodes,
    }
}

/// All endpoints of a port, once each, in the order of their addresses. Two pods may have had one address after another: then
/// the one that is not terminating counts.
pub fn of_port<'a>(slices: impl IntoIterator<Item = &'a Slice>, family: Family, port: &PortName) -> Vec<Endpoint> {
    let mut endpoints: BTreeMap<Target, Endpoint> = BTreeMap::new();
    for slice in slices.into_iter().filter(|slice| slice.family == family) {
        for (_, number) in slice.ports.iter().filter(|(name, _)| name == port) {
            for endpoint in &slice.endpoints {
                let target = Target { port: *number, ..endpoint.target };
                if !endpoints.contains_key(&target) || !endpoint.terminating {
                    endpoints.insert(target, Endpoint { target, ..endpoint.clone() });
                }
            }
        }
    }
    endpoints.into_values().collect()
}

/// Which endpoints a Service's traffic policies ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub cluster: bool,
    pub local: bool,
}

/// The endpoints that this node uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usable {
    /// For traffic policy Cluster.
    pub cluster: Vec<Target>,
    /// For traffic policy Local.
    pub local: Vec<Target>,
    /// The addresses of local endpoints among both, which may come to reach themselves.
    pub hairpin: Vec<IpAddr>,
    /// Whether any node has a usable endpoint.
    pub anywhere: bool,
}

/// Sorts endpoints by what this node in this zone may use.
pub fn categorize(endpoints: &[Endpoint], wanted: Wanted, zone: Option<&str>) -> Usable {
    let mut usable = Usable::default();
    let terminating = |endpoint: &&Endpoint| endpoint.serving && endpoint.terminating;
    let mut hairpin = Vec::new();
    let mut take = |chosen: Vec<&Endpoint>| -> Vec<Target> {
        hairpin.extend(chosen.iter().filter(|endpoint| endpoint.is_local).map(|endpoint| endpoint.target.address));
        chosen.into_iter().map(|endpoint| endpoint.target).collect()
    };
    if wanted.cluster {
        let topology = Topology::choose(endpoints, zone);
        let ready = |endpoint: &&Endpoint| endpoint.ready && topology.allows(endpoint);
        let mut chosen: Vec<&Endpoint> = endpoints.iter().filter(ready).collect();
        if chosen.is_empty() {
            chosen = endpoints.iter().filter(terminating).collect();
        }
        usable.anywhere = !chosen.is_empty();
        usable.cluster = take(chosen);
    }
    if wanted.local {
        usable.anywhere |= endpoints.iter().any(|endpoint| endpoint.ready || terminating(&endpoint));
        let local = || endpoints.iter().filter(|endpoint| endpoint.is_local);
        let mut chosen: Vec<&Endpoint> = local().filter(|endpoint| endpoint.ready).collect();
        if chosen.is_empty() {
            chosen = local().filter(terminating).collect();
        }
        usable.local = take(chosen);
    }
    hairpin.sort_unstable();
    hairpin.dedup();
    usable.hairpin = hairpin;
    usable
}

/// Which hints are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topology<'a> {
    Ignored,
    SameNode,
    SameZone(&'a str),
}

impl<'a> Topology<'a> {
    fn choose(endpoints: &[Endpoint], zone: Option<&'a str>) -> Self {
        let ready = || endpoints.iter().filter(|endpoint| endpoint.ready);
        if ready().next().is_none() {
            return Self::Ignored;
        }
        let for_us = ready().any(|endpoint| endpoint.node_hint == NodeHint::ThisNode);
        if for_us && ready().all(|endpoint| endpoint.node_hint != NodeHint::Absent) {
            return Self::SameNode;
        }
        match zone {
            Some(zone) if ready().all(|endpoint| !endpoint.zone_hints.is_empty()) => {
                let same_zone = Self::SameZone(zone);
                if ready().any(|endpoint| same_zone.allows(endpoint)) { same_zone } else { Self::Ignored }
            }
            _ => Self::Ignored,
        }
    }

    fn allows(self, endpoint: &Endpoint) -> bool {
        match self {
            Self::Ignored => true,
            Self::SameNode => endpoint.node_hint == NodeHint::ThisNode,
            Self::SameZone(zone) => endpoint.zone_hints.iter().any(|hint| &**hint == zone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Conditions, EndpointPort, Hints, SliceEndpoint};

    const R: u8 = 1;
    const S: u8 = 2;
    const T: u8 = 4;
    const LOCAL: u8 = 8;

    /// An endpoint whose address ends with its number.
    fn endpoint(number: u8, flags: u8) -> Endpoint {
        Endpoint {
            target: Target { address: [10, 0, 0, number].into(), port: 80 },
            is_local: flags & LOCAL != 0,
            ready: flags & R != 0,
            serving: flags & S != 0,
            terminating: flags & T != 0,
            zone_hints: Box::default(),
            node_hint: NodeHint::Absent,
        }
    }

    fn zone(mut endpoint: Endpoint, zones: &[&str]) -> Endpoint {
        endpoint.zone_hints = zones.iter().map(|zone| Arc::from(*zone)).collect();
        endpoint
    }

    fn node(mut endpoint: Endpoint, hint: NodeHint) -> Endpoint {
        endpoint.node_hint = hint;
        endpoint
    }

    fn last(targets: &[Target]) -> Vec<u8> {
        targets
            .iter()
            .map(|target| match target.address {
                IpAddr::V4(address) => address.octets()[3],
                IpAddr::V6(_) => 0,
            })
            .collect()
    }

    /// The cluster's and the local endpoints by number, and whether there is any anywhere.
    fn chosen(endpoints: &[Endpoint], cluster: bool, local: bool) -> (Vec<u8>, Vec<u8>, bool) {
        let usable = categorize(endpoints, Wanted { cluster, local }, Some("a"));
        (last(&usable.cluster), last(&usable.local), usable.anywhere)
    }

    #[test]
    fn readiness() {
        let (c, l) = (true, true);
        for (endpoints, cluster, local, expected) in [
            (vec![], c, l, (vec![], vec![], false)),
            (vec![endpoint(1, R | S), endpoint(2, 0)], c, !l, (vec![1], vec![], true)),
            // A terminating endpoint serves only while there is no ready one.
            (vec![endpoint(1, R | S), endpoint(2, S | T)], c, !l, (vec![1], vec![], true)),
            (vec![endpoint(1, 0), endpoint(2, S | T), endpoint(3, T)], c, !l, (vec![2], vec![], true)),
            (vec![endpoint(1, S)], c, l, (vec![], vec![], false)),
            // Locally the same, whatever others have.
            (vec![endpoint(1, R | S), endpoint(2, S | T | LOCAL)], c, l, (vec![1], vec![2], true)),
            (vec![endpoint(1, R | S | LOCAL), endpoint(2, S | T | LOCAL)], !c, l, (vec![], vec![1], true)),
            (vec![endpoint(1, R | S)], !c, l, (vec![], vec![], true)),
            (vec![endpoint(1, S | T)], !c, l, (vec![], vec![], true)),
        ] {
            assert_eq!(chosen(&endpoints, cluster, local), expected, "{endpoints:?}");
        }
    }

    #[test]
    fn hints() {
        let ready = |number| endpoint(number, R | S);
        let zones = |endpoints: Vec<Endpoint>| chosen(&endpoints, true, false).0;
        assert_eq!(zones(vec![zone(ready(1), &["a"]), zone(ready(2), &["b"]), zone(ready(3), &["b", "a"])]), [1, 3]);
        // One without a hint, or none for us: hints are ignored.
        assert_eq!(zones(vec![zone(ready(1), &["a"]), ready(2)]), [1, 2]);
        assert_eq!(zones(vec![zone(ready(1), &["b"]), zone(ready(2), &["c"])]), [1, 2]);
        // Endpoints that are not ready do not count.
        assert_eq!(zones(vec![zone(ready(1), &["a"]), zone(ready(2), &["b"]), endpoint(3, 0)]), [1]);
        let (here, there) = (NodeHint::ThisNode, NodeHint::OtherNodes);
        assert_eq!(zones(vec![node(ready(1), here), node(ready(2), there)]), [1]);
        // Not all have a node's hint, so the zone's decides.
        assert_eq!(zones(vec![zone(node(ready(1), here), &["b"]), zone(ready(2), &["a"])]), [2]);
        let nowhere = [zone(ready(1), &["a"]), zone(ready(2), &["b"])];
        assert_eq!(categorize(&nowhere, Wanted { cluster: true, local: false }, None).cluster.len(), 2);
    }

    #[test]
    fn hairpins_are_local() {
        let endpoints = [endpoint(1, R | S | LOCAL), endpoint(2, R | S), endpoint(3, LOCAL)];
        let usable = categorize(&endpoints, Wanted { cluster: true, local: true }, None);
        assert_eq!(usable.hairpin, [IpAddr::from([10, 0, 0, 1])]);
    }

    fn slice(name: Option<&str>, port: u16, addresses: &[(&str, bool)]) -> EndpointSlice {
        EndpointSlice {
            address_type: "IPv4".into(),
            ports: vec![EndpointPort { name: name.map(Into::into), protocol: Protocol::Tcp, port: Some(port) }],
            endpoints: addresses
                .iter()
                .map(|(address, terminating)| SliceEndpoint {
                    addresses: vec![(*address).into()],
                    conditions: Conditions { terminating: Some(*terminating), ..Conditions::default() },
                    node_name: Some("n".into()),
                    hints: Some(Hints { for_nodes: vec![Hint { name: "n".into() }], ..Hints::default() }),
                })
                .collect(),
            ..EndpointSlice::default()
        }
    }

    #[test]
    fn slices_are_put_together() {
        let slices = [
            slice(Some("web"), 80, &[("10.0.0.2", true), ("10.0.0.1", false), ("nonsense", false)]),
            slice(Some("web"), 80, &[("10.0.0.2", false), ("10.0.0.1", true)]),
            slice(Some("web"), 81, &[("10.0.0.1", false)]),
            slice(None, 82, &[("10.0.0.9", false)]),
            slice(Some("web"), 0, &[("10.0.0.8", false)]),
        ];
        let slices: Vec<Slice> = slices.iter().filter_map(|slice| Slice::new(slice, "n")).collect();
        let web = PortName { name: "web".into(), protocol: Protocol::Tcp };
        let endpoints = of_port(&slices, Family::Ipv4, &web);
        let seen: Vec<_> =
            endpoints.iter().map(|e| (e.target.address.to_string(), e.target.port, e.terminating)).collect();
        let expected = [("10.0.0.1", 80, false), ("10.0.0.1", 81, false), ("10.0.0.2", 80, false)];
        assert_eq!(seen, expected.map(|(address, port, terminating)| (address.to_owned(), port, terminating)));
        assert!(endpoints[0].is_local && endpoints[0].node_hint == NodeHint::ThisNode);
        let unnamed = PortName { name: String::new(), protocol: Protocol::Tcp };
        assert_eq!(of_port(&slices, Family::Ipv4, &unnamed).len(), 1);
        assert_eq!(of_port(&slices, Family::Ipv6, &web), []);
        let mut names = slice(Some("web"), 80, &[]);
        names.address_type = "FQDN".into();
        assert_eq!(Slice::new(&names, "n"), None);
    }
}
