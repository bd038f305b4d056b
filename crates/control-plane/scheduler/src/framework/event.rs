//! Changes of the cluster that can make a pod schedulable that was not.

use std::sync::Arc;

use crate::object::{Node, Pod};

/// What has happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A node is there, or is different; of a new one there is no `old`.
    Node { old: Option<Arc<Node>>, new: Arc<Node> },
    /// A node is gone: what is even is counted without it.
    NodeRemoved,
    /// A pod has got a node.
    PodAdded(Arc<Pod>),
    /// A pod that has a node is different.
    PodUpdated { old: Arc<Pod>, new: Arc<Pod> },
    /// A pod has left its node.
    PodDeleted(Arc<Pod>),
    /// The labels of a namespace.
    Namespace,
    /// A claim, a volume, a class or a driver.
    Storage,
}

impl Event {
    /// As upstream's metrics name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Node { old: None, .. } => "NodeAdd",
            Self::Node { .. } => "NodeUpdate",
            Self::NodeRemoved => "NodeDelete",
            Self::PodAdded(_) => "AssignedPodAdd",
            Self::PodUpdated { .. } => "AssignedPodUpdate",
            Self::PodDeleted(_) => "AssignedPodDelete",
            Self::Namespace => "NamespaceUpdate",
            Self::Storage => "PvcUpdate",
        }
    }
}
