//! The node itself: what the API is told of it.
//!
//! - [`pod_cidr`]: the range of pod addresses, handed on to the runtime
//! - [`status`]: the Node object's status, purely
//! - [`registration`]: the Node object, kept up to date
//! - [`lease`]: the heartbeat

mod lease;
mod pod_cidr;
mod registration;
mod status;

pub(crate) use lease::run as run_lease;
pub(crate) use pod_cidr::follow_pod_cidr;
pub(crate) use registration::NodeWriter;
