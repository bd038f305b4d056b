//! What a pod takes of a node: computed once, for all that schedule it, charge it, admit it, run it and evict it.
//!
//! - [`view`]: the few fields that decide about it, whatever form the pod is in: a tree, k8s-openapi's structs ([`typed`], [`tree`]),
//!   or a narrow struct of a component's own
//! - [`resources`]: requests and limits, with sidecars, overhead, resources of the pod as a whole, and resizes under way
//! - [`qos`]: the quality-of-service class
//! - [`ports`]: the node's ports
//! - [`extended`]: the names of resources that are not Kubernetes' own
//! - [`disruption`]: the condition of a pod that is sent away

pub mod disruption;
pub mod extended;
pub mod ports;
pub mod qos;
pub mod resources;
mod total;
pub mod tree;
pub mod typed;
pub mod view;

pub use disruption::{DISRUPTION_TARGET, disruption_target};
pub use ports::{HostPort, host_ports};
pub use qos::{QosClass, qos_class};
pub use resources::{Options, limits, requests};
pub use total::Total;
pub use tree::PodTree;
pub use view::{AnyContainer, AnyContainerStatus, AnyList, AnyPod, Lists, is_sidecar};

/// Whether a pod in this phase runs nothing any more, and never will.
pub fn has_ended(phase: &str) -> bool {
    matches!(phase, "Succeeded" | "Failed")
}
