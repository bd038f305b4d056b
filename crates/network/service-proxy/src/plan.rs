//! What a Service means for this node: a pure function from a Service and its slices to frontends and endpoints.
//!
//! The rules are those of upstream's nftables proxier (pkg/proxy/nftables/proxier.go, syncProxyRules):
//!
//! - ClusterIPs follow the internal traffic policy, all other addresses the external one.
//! - With external policy Local, pods and processes of this node still reach all endpoints.
//! - What leads to no endpoint of the whole cluster is rejected; what leads only to other nodes' endpoints although it must
//!   not leave this one is dropped, so that a load balancer looks elsewhere.

use std::net::IpAddr;

use ipnet::IpNet;
use windlass_dataplane::nftables::Family;

use crate::endpoints::{self, PortName, Slice, Target, Usable, Wanted};
use crate::object::Protocol;
use crate::service::{PortInfo, ServiceInfo};

/// What plans depend on besides Services and slices.
#[derive(Clone, Debug)]
pub struct NodeView {
    pub zone: Option<String>,
    pub node_ips: Vec<IpAddr>,
}

/// An address, protocol and port that packets are sent to. A NodePort has the unspecified address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrontendKey {
    pub address: IpAddr,
    pub protocol: Protocol,
    pub port: u16,
}

impl FrontendKey {
    pub fn is_node_port(&self) -> bool {
        self.address.is_unspecified()
    }

    pub fn family(&self) -> Family {
        Family::of(self.address)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    pub key: FrontendKey,
    /// How an endpoint is picked; `None` when there is none.
    pub dispatch: Option<Dispatch>,
    /// What happens to packets that were not dispatched.
    pub refusal: Option<Refusal>,
    /// Who may send packets here. Empty means everybody.
    pub sources: Vec<IpNet>,
}

/// Which of a port's endpoints a packet gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dispatch {
    Cluster {
        masquerade: bool,
    },
    Local,
    /// Those of the whole cluster for pods and processes of this node, the local ones for all others.
    ExternalLocal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Answered with "port unreachable".
    Reject,
    Drop,
}

/// One port of a Service in one address family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPlan {
    pub name: PortName,
    pub frontends: Vec<Frontend>,
    pub cluster: Vec<Target>,
    pub local: Vec<Target>,
    pub affinity_seconds: Option<u32>,
    /// Addresses of local endpoints, which must not see their own address as source.
    pub hairpin: Vec<IpAddr>,
    /// For UDP: all endpoints that a flow may rightly have been sent to.
    pub serving: Vec<Target>,
}

/// Plans all ports of a Service in one family.
pub fn plan(service: &ServiceInfo, slices: &[&Slice], family: Family, node: &NodeView) -> Vec<PortPlan> {
    if !service.cluster_ips.iter().any(|address| Family::of(*address) == family) {
        return Vec::new();
    }
    service.ports.iter().map(|port| plan_port(service, port, slices, family, node)).collect()
}

/// How many of a Service's own endpoints are on this node and ready, by address: what its health check answers.
pub fn local_ready_count(service: &ServiceInfo, slices: &[&Slice]) -> usize {
    let mut addresses = Vec::new();
    for family in [Family::Ipv4, Family::Ipv6] {
        for port in &service.ports {
            let endpoints = endpoints::of_port(slices.iter().copied(), family, &port.name);
            let local = endpoints.iter().filter(|endpoint| endpoint.is_local && endpoint.ready);
            addresses.extend(local.map(|endpoint| endpoint.target.address));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses.len()
}

fn plan_port(service: &ServiceInfo, port: &PortInfo, slices: &[&Slice], family: Family, node: &NodeView) -> PortPlan {
    let of_family = |addresses: &[IpAddr]| -> Vec<IpAddr> {
        addresses.iter().copied().filter(|address| Family::of(*address) == family).collect()
    };
    let external_ips = of_family(&service.external_ips);
    let load_balancer_ips = of_family(&service.load_balancer_ips);
    let is_external = port.node_port.is_some() || !external_ips.is_empty() || !load_balancer_ips.is_empty();
    let wanted = Wanted {
        // External policy Local needs all endpoints too, for this node's own pods and processes.
        cluster: !service.internal_local || is_external,
        local: service.internal_local || (service.external_local && is_external),
    };
    let endpoints = endpoints::of_port(slices.iter().copied(), family, &port.name);
    let usable = endpoints::categorize(&endpoints, wanted, node.zone.as_deref());

    let key = |address, port_number| FrontendKey { address, protocol: port.name.protocol, port: port_number };
    let sources = sources(service, family, &load_balancer_ips, &node.node_ips);
    let mut frontends = Vec::new();
    for address in of_family(&service.cluster_ips) {
        frontends.push(internal(key(address, port.port), service, &usable));
    }
    for address in external_ips {
        frontends.push(external(key(address, port.port), service, &usable));
    }
    for address in load_balancer_ips {
        let frontend = external(key(address, port.port), service, &usable);
        frontends.push(Frontend { sources: sources.clone(), ..frontend });
    }
    // NodePorts are not subject to source ranges, upstream either.
    if let Some(node_port) = port.node_port {
        frontends.push(external(key(family.unspecified(), node_port), service, &usable));
    }
    // An address may be both an external one and the load balancer's; then the restricted frontend stays.
    frontends.sort_by_key(|frontend| (frontend.key, frontend.sources.is_empty()));
    frontends.dedup_by_key(|frontend| frontend.key);
    let serving = endpoints.iter().filter(|endpoint| endpoint.serving).map(|endpoint| endpoint.target);
    PortPlan {
        name: port.name.clone(),
        frontends,
        affinity_seconds: service.affinity_seconds,
        hairpin: usable.hairpin,
        serving: if port.name.protocol == Protocol::Udp { serving.collect() } else { Vec::new() },
        cluster: usable.cluster,
        local: usable.local,
    }
}

fn internal(key: FrontendKey, service: &ServiceInfo, usable: &Usable) -> Frontend {
    let dispatch = if service.internal_local { Dispatch::Local } else { Dispatch::Cluster { masquerade: false } };
    let reached = if service.internal_local { !usable.local.is_empty() } else { usable.anywhere };
    Frontend { key, dispatch: reached.then_some(dispatch), refusal: refusal(reached, usable), sources: Vec::new() }
}

fn external(key: FrontendKey, service: &ServiceInfo, usable: &Usable) -> Frontend {
    let dispatch =
        if service.external_local { Dispatch::ExternalLocal } else { Dispatch::Cluster { masquerade: true } };
    let reached = if service.external_local { !usable.local.is_empty() } else { usable.anywhere };
    Frontend {
        key,
        dispatch: usable.anywhere.then_some(dispatch),
        refusal: refusal(reached, usable),
        sources: Vec::new(),
    }
}

fn refusal(reached: bool, usable: &Usable) -> Option<Refusal> {
    match (reached, usable.anywhere) {
        (true, _) => None,
        (false, true) => Some(Refusal::Drop),
        (false, false) => Some(Refusal::Reject),
    }
}

/// A load balancer's address is often one of the node's: then the node asks itself under that address, which must be let in if
/// the node is.
fn sources(service: &ServiceInfo, family: Family, addresses: &[IpAddr], node_ips: &[IpAddr]) -> Vec<IpNet> {
    let ranges = service.source_ranges.iter().copied().filter(|net| Family::of(net.addr()) == family);
    let mut sources: Vec<IpNet> = ranges.collect();
    if node_ips.iter().any(|address| sources.iter().any(|net| net.contains(address))) {
        sources.extend(addresses.iter().map(|address| IpNet::from(*address)));
    }
    IpNet::aggregate(&sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{EndpointSlice, Service};

    const NODE: &str = "n";

    /// Plans a Service with the given spec and endpoints of (address, node, ready).
    fn plan_of(spec: &str, endpoints: &[(&str, &str, bool)]) -> PortPlan {
        let service = format!(
            r#"{{"spec":{{"clusterIP":"10.96.0.1","ports":[{{"port":80,"nodePort":30080}}]{spec}}},
                "status":{{"loadBalancer":{{"ingress":[{{"ip":"192.0.2.9"}}]}}}}}}"#
        );
        let endpoints: Vec<String> = endpoints
            .iter()
            .map(|(address, node, ready)| {
                format!(r#"{{"addresses":["{address}"],"nodeName":"{node}","conditions":{{"ready":{ready},"serving":{ready}}}}}"#)
            })
            .collect();
        let slice =
            format!(r#"{{"addressType":"IPv4","ports":[{{"port":8080}}],"endpoints":[{}]}}"#, endpoints.join(","));
        let service = ServiceInfo::new(&Service::from_json(service.as_bytes()).unwrap()).unwrap();
        let slice = Slice::new(&EndpointSlice::from_json(slice.as_bytes()).unwrap(), NODE).unwrap();
        let node = NodeView { zone: None, node_ips: vec!["192.0.2.1".parse().unwrap()] };
        plan(&service, &[&slice], Family::Ipv4, &node).remove(0)
    }

    /// How the ClusterIP, the load balancer's address and the NodePort are treated.
    fn treatment(plan: &PortPlan) -> [(Option<Dispatch>, Option<Refusal>); 3] {
        let of = |address: &str, port| {
            let address: IpAddr = address.parse().unwrap();
            let frontend = plan.frontends.iter().find(|f| f.key.address == address && f.key.port == port).unwrap();
            (frontend.dispatch, frontend.refusal)
        };
        [of("10.96.0.1", 80), of("192.0.2.9", 80), of("0.0.0.0", 30080)]
    }

    #[test]
    fn traffic_policies() {
        let (here, there) = (("10.244.0.2", NODE, true), ("10.244.1.2", "other", true));
        let not_ready = ("10.244.1.2", "other", false);
        let cluster = Some(Dispatch::Cluster { masquerade: false });
        let masqueraded = (Some(Dispatch::Cluster { masquerade: true }), None);
        let external_local = Some(Dispatch::ExternalLocal);
        let reject = (None, Some(Refusal::Reject));
        let balancer = r#","type":"LoadBalancer""#;
        let external = r#","type":"LoadBalancer","externalTrafficPolicy":"Local""#;
        let internal = r#","type":"LoadBalancer","internalTrafficPolicy":"Local""#;
        for (spec, endpoints, expected) in [
            (balancer, vec![here, there], [(cluster, None), masqueraded, masqueraded]),
            (balancer, vec![not_ready], [reject; 3]),
            (external, vec![here, there], [(cluster, None), (external_local, None), (external_local, None)]),
            // Only other nodes have endpoints: pods of this one reach them, strangers are dropped.
            (
                external,
                vec![there],
                [(cluster, None), (external_local, Some(Refusal::Drop)), (external_local, Some(Refusal::Drop))],
            ),
            (external, vec![], [reject; 3]),
            (internal, vec![here, there], [(Some(Dispatch::Local), None), masqueraded, masqueraded]),
            (internal, vec![there], [(None, Some(Refusal::Drop)), masqueraded, masqueraded]),
        ] {
            assert_eq!(treatment(&plan_of(spec, &endpoints)), expected, "{spec} {endpoints:?}");
        }
    }

    #[test]
    fn source_ranges_restrict_the_load_balancer_only() {
        let spec =
            r#","type":"LoadBalancer","loadBalancerSourceRanges":["192.0.2.0/30"],"externalIPs":["198.51.100.7"]"#;
        let plan = plan_of(spec, &[("10.244.0.2", NODE, true)]);
        let restricted: Vec<_> = plan.frontends.iter().filter(|frontend| !frontend.sources.is_empty()).collect();
        assert_eq!(restricted.len(), 1);
        // The node may, so the address under which it would ask itself may too.
        let texts: Vec<_> = restricted[0].sources.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["192.0.2.0/30", "192.0.2.9/32"]);
        assert_eq!(plan.frontends.len(), 4);
    }

    #[test]
    fn local_endpoints_are_counted_by_address() {
        let service = r#"{"spec":{"clusterIP":"10.96.0.1","ports":[{"name":"a","port":1},{"name":"b","port":2}]}}"#;
        let slice = r#"{"addressType":"IPv4","ports":[{"name":"a","port":1},{"name":"b","port":2}],"endpoints":[
            {"addresses":["10.0.0.1"],"nodeName":"n"},{"addresses":["10.0.0.2"],"nodeName":"m"},
            {"addresses":["10.0.0.3"],"nodeName":"n","conditions":{"ready":false}}]}"#;
        let service = ServiceInfo::new(&Service::from_json(service.as_bytes()).unwrap()).unwrap();
        let slice = Slice::new(&EndpointSlice::from_json(slice.as_bytes()).unwrap(), NODE).unwrap();
        assert_eq!(local_ready_count(&service, &[&slice]), 1);
    }
}
