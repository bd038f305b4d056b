//! Who may ask what of the node.
//!
//! Clients are known by a certificate of the cluster's authority or by a bearer token that the API server vouches for. What they may do
//! the API server says too: everything here is a subresource of the node. Answers are remembered for a while.

mod attributes;
mod gate;

pub(crate) use gate::{Gate, User};
