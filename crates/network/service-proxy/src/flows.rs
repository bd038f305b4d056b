//! UDP flows that were sent to endpoints which are no endpoints any more.
//!
//! The kernel remembers for each flow where it was sent first, and UDP has no end: a client that keeps sending would reach a
//! pod that is gone, or nobody, for ever. So after each change the flows to the frontends concerned are compared with the
//! endpoints they may have. Upstream does the same over all Services (pkg/proxy/conntrack/cleanup.go).

use std::net::IpAddr;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use windlass_dataplane::conntrack::{Conntrack, Flow};
use windlass_dataplane::nftables::Family;
use windlass_dataplane::route::Rtnetlink;
use windlass_dataplane::{Netns, Result};

use crate::endpoints::Target;
use crate::object::Protocol;
use crate::program::UdpTargets;

/// Makes the kernel forget what leads astray. Returns how many flows that were.
pub(crate) fn forget_stale(netns: &Netns, targets: &[UdpTargets]) -> Result<usize> {
    let mut deleted = 0;
    for family in [Family::Ipv4, Family::Ipv6] {
        let mine: Vec<&UdpTargets> = targets.iter().filter(|target| target.frontend.family() == family).collect();
        if mine.is_empty() {
            continue;
        }
        let stale = Stale::new(&mine, node_addresses(netns, &mine)?);
        let mut conntrack = Conntrack::open(netns)?;
        let flows = conntrack.flows(family == Family::Ipv6, Protocol::Udp.number(), |flow| stale.matches(flow))?;
        deleted += conntrack.delete(&flows)?;
    }
    Ok(deleted)
}

/// Needed only to tell flows to NodePorts from flows to others' ports of the same number.
fn node_addresses(netns: &Netns, targets: &[&UdpTargets]) -> Result<HashSet<IpAddr>> {
    if !targets.iter().any(|target| target.frontend.is_node_port()) {
        return Ok(HashSet::new());
    }
    let addresses = Rtnetlink::open(netns)?.addresses()?;
    Ok(addresses.into_iter().map(|address| address.address.addr()).collect())
}

struct Stale<'a> {
    frontends: HashMap<(IpAddr, u16), &'a [Target]>,
    node_ports: HashMap<u16, &'a [Target]>,
    node_addresses: HashSet<IpAddr>,
}

impl<'a> Stale<'a> {
    fn new(targets: &[&'a UdpTargets], node_addresses: HashSet<IpAddr>) -> Self {
        let mut stale = Self { frontends: HashMap::new(), node_ports: HashMap::new(), node_addresses };
        for UdpTargets { frontend, serving } in targets {
            if frontend.is_node_port() {
                stale.node_ports.insert(frontend.port, serving);
            } else {
                stale.frontends.insert((frontend.address, frontend.port), serving);
            }
        }
        stale
    }

    fn matches(&self, flow: &Flow) -> bool {
        let (to, port) = (flow.original.destination, flow.original.destination_port);
        let serving = self.frontends.get(&(to, port)).or_else(|| {
            // All of 127.0.0.0/8 is the node's, though only one address is configured.
            let own = to.is_loopback() || self.node_addresses.contains(&to);
            self.node_ports.get(&port).filter(|_| own)
        });
        let target = Target { address: flow.reply.source, port: flow.reply.source_port };
        serving.is_some_and(|serving| !serving.contains(&target))
    }
}
