//! The node's part of the pod network, which all sandboxes share.
//!
//! - Forwarding is on.
//! - The ranges of node and cluster have routes that refuse packets, so that what no sandbox has never leaves by a default
//!   route. Routes to sandboxes and to other nodes are more specific or have a smaller metric.
//! - What leaves the cluster gets the node's address (table `windlass-egress`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use windlass_dataplane::nftables::{Base, Chain, Expr, Family, Hook, Nftables, Rule, Table, phrase, priority};
use windlass_dataplane::route::{Requests, Route, Rtnetlink};
use windlass_dataplane::{Netns, sysctl};

use super::PluginOptions;
use crate::{CniError, code};

/// The protocol number of the routes that this plugin makes.
pub const ROUTE_PROTOCOL: u8 = 87;

const EGRESS_TABLE: &str = "windlass-egress";
/// Made when the first pod has host ports.
pub(super) const HOST_PORTS_TABLE: &str = "windlass-hostports";
/// Routes of anybody else for the same ranges win.
const REFUSAL_METRIC: u32 = 1 << 20;

/// Sets up the node's part, or changes it to what `options` now say. Cheap when nothing changed.
pub fn prepare_node(options: &PluginOptions) -> Result<(), CniError> {
    let mut nftables = nftables()?;
    for subnet in options.families() {
        egress_table(options, subnet).apply(&mut nftables).map_err(kernel)?;
    }
    let mut requests = Requests::new();
    add_refusals(options, &mut requests);
    let mut rtnetlink = Rtnetlink::open(&Netns::current()).map_err(kernel)?;
    requests.send(&mut rtnetlink).map_err(kernel)?;
    enable_forwarding(options)
}

/// Removes the node's part and all sandboxes' links.
pub fn remove_node(options: &PluginOptions) -> Result<(), CniError> {
    let mut nftables = nftables()?;
    let mut rtnetlink = Rtnetlink::open(&Netns::current()).map_err(kernel)?;
    for family in [Family::Ipv4, Family::Ipv6] {
        nftables.delete_table(family, EGRESS_TABLE).map_err(kernel)?;
        nftables.delete_table(family, HOST_PORTS_TABLE).map_err(kernel)?;
    }
    let mut requests = Requests::new();
    let links = rtnetlink.links().map_err(kernel)?;
    // Both the prefix and the hardware address are ours: no other veth has them.
    let ours = links.iter().filter(|link| {
        link.kind == "veth" && link.name.starts_with(super::link::PREFIX) && link.mac == Some(super::link::NODE_MAC)
    });
    ours.for_each(|link| requests.delete_link(&link.name));
    refusals(options).for_each(|route| requests.delete_route(&route));
    requests.send(&mut rtnetlink).map_err(kernel)
}

/// What an ADD does in case nobody prepared the node: only what is missing.
pub(super) fn ensure(options: &PluginOptions, nftables: &mut Nftables) -> Result<(), CniError> {
    enable_forwarding(options)?;
    for subnet in options.families().filter(|_| options.ip_masq) {
        let family = Family::of(subnet.addr());
        if !nftables.table_exists(family, EGRESS_TABLE).map_err(kernel)? {
            egress_table(options, subnet).apply(nftables).map_err(kernel)?;
        }
    }
    Ok(())
}

pub(super) fn add_refusals(options: &PluginOptions, requests: &mut Requests) {
    refusals(options).for_each(|route| requests.add_route(&route));
}

fn refusals(options: &PluginOptions) -> impl Iterator<Item = Route> {
    let ours = |net: &&IpNet| options.subnets.iter().any(|subnet| subnet.addr().is_ipv4() == net.addr().is_ipv4());
    let mut ranges: Vec<IpNet> = options.subnets.iter().chain(&options.cluster_cidrs).filter(ours).copied().collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges.into_iter().map(|net| Route { metric: Some(REFUSAL_METRIC), ..Route::unreachable(net, ROUTE_PROTOCOL) })
}

fn enable_forwarding(options: &PluginOptions) -> Result<(), CniError> {
    for subnet in options.families() {
        let name = if subnet.addr().is_ipv4() { "net/ipv4/ip_forward" } else { "net/ipv6/conf/all/forwarding" };
        sysctl::set(name, "1").map_err(|error| parameter(name, &error))?;
    }
    Ok(())
}

/// Masquerade for what sandboxes send out of the cluster.
fn egress_table(options: &PluginOptions, subnet: IpNet) -> Table {
    let family = Family::of(subnet.addr());
    let mut table = Table::new(family, EGRESS_TABLE);
    if !options.ip_masq {
        return table;
    }
    let mut expressions = phrase::source_in(family, subnet, true);
    let inside = options.cluster_cidrs.iter().chain(&options.non_masquerade_cidrs).copied();
    let inside = inside.filter(|net| Family::of(net.addr()) == family).chain([subnet, multicast(family)]);
    for net in inside {
        expressions.extend(phrase::destination_in(family, net, false));
    }
    expressions.push(Expr::Masquerade);
    let rule = Rule::new(expressions).comment("what leaves the cluster gets the node's address");
    let base = Base::nat(Hook::Postrouting, priority::SRCNAT);
    table.set_chain("postrouting", Chain { base: Some(base), rules: vec![rule] });
    table
}

fn multicast(family: Family) -> IpNet {
    match family.unspecified() {
        IpAddr::V4(_) => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4)),
        IpAddr::V6(_) => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8)),
    }
}

pub(super) fn nftables() -> Result<Nftables, CniError> {
    Nftables::open(&Netns::current()).map_err(kernel)
}

pub(super) fn kernel(error: windlass_dataplane::Error) -> CniError {
    CniError::from_chain(code::INTERNAL, &error)
}

pub(super) fn parameter(name: &str, error: &io::Error) -> CniError {
    CniError::new(code::IO_FAILURE, format!("cannot set kernel parameter {name}: {error}"))
}
