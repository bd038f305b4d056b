//! The node's allocator of addresses, as ADD, CHECK and DEL ask it.

use windlass_ipam::node::{Error, NodeAllocator, Owner};

use super::config::Request;
use super::invocation::Target;
use crate::{CniError, code};

pub(super) fn allocator(request: &Request) -> Result<NodeAllocator, CniError> {
    NodeAllocator::new(&request.options.data_dir, &request.name).map_err(address_error)
}

pub(super) fn owner(target: &Target) -> Owner {
    Owner { container_id: target.container_id.clone(), if_name: target.if_name.clone() }
}

pub(super) fn address_error(error: Error) -> CniError {
    let code = match &error {
        Error::Exhausted(_) => code::TRY_AGAIN_LATER,
        _ => code::IO_FAILURE,
    };
    CniError::from_chain(code, &error)
}
