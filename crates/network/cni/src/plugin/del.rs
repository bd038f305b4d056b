//! DEL and GC: what a sandbox had is given back.
//!
//! The address goes last: as long as anything still leads to it, nobody else may have it.

use std::collections::BTreeSet;

use windlass_dataplane::Netns;
use windlass_dataplane::route::{Requests, Rtnetlink};
use windlass_ipam::node::Owner;

use super::addresses::{address_error, allocator, owner};
use super::config::Request;
use super::invocation::Target;
use super::node::kernel;
use super::{host_ports, link, node};
use crate::{CniError, ValidAttachment};

/// Everything is looked for on the node, so a sandbox whose namespace is gone already can be deleted. Idempotent.
pub(super) fn del(request: &Request, target: &Target) -> Result<(), CniError> {
    let text = host_ports::comment(&owner_text(target));
    host_ports::remove(&mut node::nftables()?, |owner| owner == text)?;
    let mut requests = Requests::new();
    requests.delete_link(&link::node_name(&target.container_id, &target.if_name));
    requests.send(&mut Rtnetlink::open(&Netns::current()).map_err(kernel)?).map_err(kernel)?;
    allocator(request)?.release(&owner(target)).map(drop).map_err(address_error)
}

/// Removes what attachments had that are not valid any more.
pub(super) fn collect(request: &Request) -> Result<(), CniError> {
    // Without the list nothing can be said to be stale.
    let Some(valid) = &request.valid_attachments else { return Ok(()) };
    let valid: BTreeSet<&ValidAttachment> = valid.iter().collect();
    let is_stale = |owner: &Owner| {
        let attachment = ValidAttachment { container_id: owner.container_id.clone(), ifname: owner.if_name.clone() };
        !valid.contains(&attachment)
    };
    let allocator = allocator(request)?;
    let state = allocator.read().map_err(address_error)?;
    let stale: BTreeSet<&Owner> = state.allocations().values().filter(|owner| is_stale(owner)).collect();
    if stale.is_empty() {
        return Ok(());
    }
    let texts: BTreeSet<String> = stale.iter().map(|owner| host_ports::comment(&text_of(owner))).collect();
    host_ports::remove(&mut node::nftables()?, |owner| texts.contains(owner))?;
    let mut requests = Requests::new();
    stale.iter().for_each(|owner| requests.delete_link(&link::node_name(&owner.container_id, &owner.if_name)));
    requests.send(&mut Rtnetlink::open(&Netns::current()).map_err(kernel)?).map_err(kernel)?;
    allocator.release_if(|owner| stale.contains(owner)).map(drop).map_err(address_error)
}

/// How host ports name their attachment.
pub(super) fn owner_text(target: &Target) -> String {
    text_of(&owner(target))
}

fn text_of(owner: &Owner) -> String {
    format!("{} {}", owner.container_id, owner.if_name)
}
