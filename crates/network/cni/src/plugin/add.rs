//! ADD: a sandbox joins the network.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;

use ipnet::IpNet;
use windlass_dataplane::nftables::Nftables;
use windlass_dataplane::route::{Requests, Route, Rtnetlink, Scope, Veth, VethPeer};
use windlass_dataplane::{Netns, sysctl};

use super::addresses::{address_error, allocator, owner};
use super::config::Request;
use super::invocation::Target;
use super::node::{ROUTE_PROTOCOL, kernel, parameter};
use super::{PluginOptions, del, host_ports, link, node};
use crate::{AddResult, CniError, Interface, IpConfig, code};

const LOOPBACK_INDEX: u32 = 1;

/// Takes addresses, makes the links, and leads host ports there. A failure leaves nothing behind.
pub(super) fn add(request: &Request, target: &Target) -> Result<AddResult, CniError> {
    let netns = open_sandbox(target)?;
    let mut nftables = node::nftables()?;
    node::ensure(&request.options, &mut nftables)?;
    let addresses = allocate(request, target)?;
    match connect(request, target, &netns, &addresses, &mut nftables) {
        Ok(()) => Ok(result(&request.options, target, &addresses)),
        // The interface was there before us, and so was all that belongs to it.
        Err(error) if error.code == code::ALREADY_CONNECTED => Err(error),
        Err(error) => {
            // The failure is what the caller must hear of; DEL comes anyway and tries again.
            let _ = del::del(request, target);
            Err(error)
        }
    }
}

fn connect(
    request: &Request,
    target: &Target,
    netns: &Netns,
    addresses: &[IpAddr],
    nftables: &mut Nftables,
) -> Result<(), CniError> {
    let options = &request.options;
    make_links(options, target, netns, addresses)?;
    host_ports::add(nftables, &del::owner_text(target), &request.runtime_config.port_mappings, addresses)
}

/// Opens the sandbox's namespace, which must not be our own: the links would land on the node.
fn open_sandbox(target: &Target) -> Result<Netns, CniError> {
    let invalid = |error: std::io::Error| {
        let text = format!("cannot open network namespace {}: {error}", target.netns.display());
        CniError::new(code::INVALID_NETNS, text)
    };
    let netns = Netns::open(&target.netns).map_err(invalid)?;
    let identity = |path: &std::path::Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    let own = identity("/proc/thread-self/ns/net".as_ref()).map_err(invalid)?;
    if !target.may_share_netns && identity(&target.netns).map_err(invalid)? == own {
        let text = "plugin's netns and netns from CNI_NETNS should not be the same";
        return Err(CniError::new(code::INVALID_NETNS, text));
    }
    Ok(netns)
}

fn allocate(request: &Request, target: &Target) -> Result<Vec<IpAddr>, CniError> {
    let (allocator, owner) = (allocator(request)?, owner(target));
    allocator.allocate(&request.options.subnets, &owner).map_err(address_error)
}

fn make_links(options: &PluginOptions, target: &Target, netns: &Netns, addresses: &[IpAddr]) -> Result<(), CniError> {
    let name = link::node_name(&target.container_id, &target.if_name);
    let Some(first) = addresses.first() else { return Ok(()) };
    let mut on_node = Rtnetlink::open(&Netns::current()).map_err(kernel)?;
    let veth = Veth {
        name: &name,
        mac: link::NODE_MAC,
        mtu: options.mtu,
        peer: VethPeer { name: &target.if_name, mac: link::sandbox_mac(*first), netns: netns.fd() },
    };
    let mut requests = Requests::new();
    requests.add_veth(&veth);
    requests.send(&mut on_node).map_err(|error| {
        let code = if error.is_already_there() { code::ALREADY_CONNECTED } else { code::INTERNAL };
        CniError::from_chain(code, &error)
    })?;
    set_up_sandbox(target, netns, addresses)?;
    set_up_node(options, &name, &mut on_node, addresses)
}

/// The sandbox's end: loopback, addresses, a gateway that needs no answer.
fn set_up_sandbox(target: &Target, netns: &Netns, addresses: &[IpAddr]) -> Result<(), CniError> {
    let mut rtnetlink = Rtnetlink::open(netns).map_err(kernel)?;
    let link = rtnetlink.link(&target.if_name).map_err(kernel)?;
    let Some(index) = link.map(|link| link.index) else {
        return Err(CniError::new(code::INTERNAL, format!("interface {} vanished from the sandbox", target.if_name)));
    };
    let mut requests = Requests::new();
    requests.set_link_up(LOOPBACK_INDEX);
    requests.set_link_up(index);
    for address in addresses {
        let gateway = link::gateway(*address);
        requests.add_address(index, IpNet::from(*address), Scope::Universe);
        requests.add_route(&Route::on_link(gateway.into(), index, ROUTE_PROTOCOL));
        let everywhere = everywhere(*address);
        requests.add_route(&Route { link: Some(index), ..Route::via(everywhere, gateway, ROUTE_PROTOCOL) });
        requests.add_permanent_neighbour(index, gateway, link::NODE_MAC);
    }
    requests.send(&mut rtnetlink).map_err(kernel)
}

/// The node's end: a route to each address, and the sandbox as a neighbour that is never asked for.
fn set_up_node(
    options: &PluginOptions,
    name: &str,
    rtnetlink: &mut Rtnetlink,
    addresses: &[IpAddr],
) -> Result<(), CniError> {
    let link = rtnetlink.link(name).map_err(kernel)?;
    let Some(index) = link.map(|link| link.index) else {
        return Err(CniError::new(code::INTERNAL, format!("interface {name} vanished from the node")));
    };
    // A sandbox cannot send under another's address.
    let parameter_name = format!("net/ipv4/conf/{name}/rp_filter");
    sysctl::set(&parameter_name, "1").map_err(|error| parameter(&parameter_name, &error))?;
    let mut requests = Requests::new();
    requests.set_link_up(index);
    for address in addresses {
        let route = Route::on_link(IpNet::from(*address), index, ROUTE_PROTOCOL);
        requests.add_route(&Route { source: options.node_ip(*address), ..route });
        let mac = addresses.first().map_or(link::NODE_MAC, |first| link::sandbox_mac(*first));
        requests.add_permanent_neighbour(index, *address, mac);
    }
    node::add_refusals(options, &mut requests);
    requests.send(rtnetlink).map_err(kernel)
}

fn everywhere(like: IpAddr) -> IpNet {
    if like.is_ipv4() { ipnet::Ipv4Net::default().into() } else { ipnet::Ipv6Net::default().into() }
}

fn result(options: &PluginOptions, target: &Target, addresses: &[IpAddr]) -> AddResult {
    let mac = addresses.first().map(|first| link::sandbox_mac(*first).to_string()).unwrap_or_default();
    let on_node = Interface {
        name: link::node_name(&target.container_id, &target.if_name),
        mac: link::NODE_MAC.to_string(),
        mtu: options.mtu,
        ..Interface::default()
    };
    let in_sandbox = Interface {
        name: target.if_name.clone(),
        mac,
        mtu: options.mtu,
        sandbox: target.netns.display().to_string(),
        ..Interface::default()
    };
    let ip = |address: &IpAddr| IpConfig {
        version: None,
        address: IpNet::from(*address),
        gateway: Some(link::gateway(*address)),
        interface: Some(1),
    };
    let route = |address: &IpAddr| crate::Route {
        dst: everywhere(*address),
        gw: Some(link::gateway(*address)),
        mtu: 0,
        advmss: 0,
        priority: 0,
        table: None,
        scope: None,
    };
    AddResult {
        cni_version: None,
        interfaces: vec![on_node, in_sandbox],
        ips: addresses.iter().map(ip).collect(),
        routes: addresses.iter().map(route).collect(),
        dns: crate::Dns::default(),
    }
}
