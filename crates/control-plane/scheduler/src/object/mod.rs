//! The objects that decide about placement, each reduced to the fields that do.
//!
//! They are decoded from the informers' bytes once for each version that the scheduler looks at.

pub(crate) mod affinity;
pub(crate) mod node;
pub(crate) mod pod;
pub(crate) mod pod_raw;
mod pod_view;
pub(crate) mod resources;
pub(crate) mod spread;
pub(crate) mod volume;

pub(crate) use node::Node;
pub(crate) use pod::Pod;
pub(crate) use resources::Resources;

/// Labels of an object, shared by all pods that are alike.
pub(crate) type Labels = std::collections::BTreeMap<String, String>;
