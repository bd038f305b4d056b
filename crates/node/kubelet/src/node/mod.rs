//! The node itself: what the machine has, how it is, and what the API is told of it.
//!
//! - [`machine`]: reading the machine, once and again
//! - [`facts`]: what the rest of the kubelet knows of the node
//! - [`pod_cidr`]: the range of pod addresses, handed on to the runtime
//! - [`status`]: the Node object's status, purely
//! - [`registration`]: the Node object, kept up to date
//! - [`lease`]: the heartbeat
//! - [`user_namespaces`]: ranges of user IDs for pods that have their own

mod facts;
mod lease;
pub(crate) mod machine;
mod pod_cidr;
mod registration;
mod status;
mod user_namespaces;

pub(crate) use facts::{NodeFacts, Pressure};
pub(crate) use lease::run as run_lease;
pub(crate) use pod_cidr::follow_pod_cidr;
pub(crate) use registration::NodeWriter;

/// What pods below this directory have of user IDs.
pub(crate) fn recall_user_namespaces(pods: &std::path::Path) -> user_namespaces::UserNamespaces {
    user_namespaces::UserNamespaces::recall(pods)
}
