//! Controllers of nodes: their pod addresses ([`ipam`]), their health ([`lifecycle`]), who may stay on them
//! ([`taint_eviction`]), for how long they may keep what they have read ([`ttl`]).

mod cidrs;
pub(crate) mod ipam;
pub(crate) mod lifecycle;
pub(crate) mod taint_eviction;
pub(crate) mod ttl;
pub(crate) mod view;
