//! CHECK: is a sandbox's network as ADD left it? STATUS: could an ADD succeed now?

use std::net::IpAddr;

use windlass_dataplane::Netns;
use windlass_dataplane::route::Rtnetlink;

use super::addresses::{address_error, allocator, owner};
use super::config::Request;
use super::invocation::Target;
use super::node::kernel;
use super::{host_ports, link, node};
use crate::{CniError, code};

/// Compares what is there with the previous result. What later plugins of the chain added is none of our business.
pub(super) fn check(request: &Request, target: &Target) -> Result<(), CniError> {
    let Some(previous) = &request.prev_result else {
        return Err(CniError::new(code::INVALID_CONFIG, "prevResult is required for CHECK"));
    };
    let wrong = |text: String| Err(CniError::new(code::INTERNAL, text));
    let expected = previous.sandbox_addresses();
    let held = allocator(request)?.read().map_err(address_error)?;
    let owner = owner(target);
    let ours: Vec<IpAddr> =
        held.allocations().iter().filter(|(_, holder)| **holder == owner).map(|(address, _)| *address).collect();
    if ours.is_empty() || ours.iter().any(|address| !expected.contains(address)) {
        return wrong(format!("the sandbox's addresses are not reserved: have {ours:?}, want {expected:?}"));
    }
    check_node(target, &ours)?;
    check_sandbox(target, &ours)?;
    host_ports::check(&mut node::nftables()?, &request.runtime_config.port_mappings, &ours)
}

fn check_node(target: &Target, addresses: &[IpAddr]) -> Result<(), CniError> {
    let wrong = |text: String| Err(CniError::new(code::INTERNAL, text));
    let name = link::node_name(&target.container_id, &target.if_name);
    let mut rtnetlink = Rtnetlink::open(&Netns::current()).map_err(kernel)?;
    let Some(link) = rtnetlink.link(&name).map_err(kernel)?.filter(|link| link.up) else {
        return wrong(format!("interface {name} of the node is missing or down"));
    };
    let routes = rtnetlink.routes().map_err(kernel)?;
    for address in addresses {
        if !routes.iter().any(|route| route.destination == (*address).into() && route.link == Some(link.index)) {
            return wrong(format!("the node has no route to {address} by {name}"));
        }
    }
    Ok(())
}

fn check_sandbox(target: &Target, addresses: &[IpAddr]) -> Result<(), CniError> {
    let wrong = |text: String| Err(CniError::new(code::INTERNAL, text));
    let netns = Netns::open(&target.netns).map_err(|error| {
        CniError::new(code::INVALID_NETNS, format!("cannot open network namespace {}: {error}", target.netns.display()))
    })?;
    let mut rtnetlink = Rtnetlink::open(&netns).map_err(kernel)?;
    let Some(link) = rtnetlink.link(&target.if_name).map_err(kernel)?.filter(|link| link.up) else {
        return wrong(format!("interface {} of the sandbox is missing or down", target.if_name));
    };
    let present = rtnetlink.addresses().map_err(kernel)?;
    for address in addresses {
        if !present.iter().any(|entry| entry.link == link.index && entry.address.addr() == *address) {
            return wrong(format!("interface {} of the sandbox has lost address {address}", target.if_name));
        }
    }
    Ok(())
}

/// An ADD can succeed while each range has a free address.
pub(super) fn status(request: &Request) -> Result<(), CniError> {
    let state = allocator(request)?.read().map_err(address_error)?;
    match request.options.subnets.iter().find(|subnet| state.free(**subnet) == 0) {
        Some(subnet) => Err(CniError::new(code::NOT_AVAILABLE, format!("no address is left in {subnet}"))),
        None => Ok(()),
    }
}
