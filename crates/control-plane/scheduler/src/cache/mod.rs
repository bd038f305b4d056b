//! What runs where: the state that a scheduling cycle looks at, kept up to date change by change.

mod cluster;
mod node_info;
mod node_order;
mod nominator;
mod pod_sets;
mod topology;

pub(crate) use cluster::Cluster;
pub(crate) use node_info::{NodeId, NodeInfo};
pub(crate) use nominator::Nominator;
pub(crate) use pod_sets::PodSet;
pub(crate) use topology::Topology;
