//! A node with the pods that are on it, or will be.

use std::sync::Arc;

use crate::object::pod::Scored;
use windlass_api::pod::HostPort;

use crate::object::{Node, Pod, Resources};

/// A node's place in the cluster's list. It is given to another node only after this one and its pods have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(pub u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node and the sum of what its pods take. Cloning it, for thinking about what would be, copies references.
#[derive(Clone, Debug)]
pub(crate) struct NodeInfo {
    pub(crate) id: NodeId,
    pub node: Arc<Node>,
    pub(crate) pods: Vec<Arc<Pod>>,
    pub(crate) requested: Resources,
    pub(crate) scored: Scored,
    pub(crate) ports: Vec<HostPort>,
}

impl NodeInfo {
    pub(crate) fn new(id: NodeId, node: Arc<Node>) -> Self {
        Self {
            id,
            node,
            pods: Vec::new(),
            requested: Resources::default(),
            scored: Scored::default(),
            ports: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.node.name
    }

    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.node.labels.get(key).map(String::as_str)
    }

    pub(crate) fn add(&mut self, pod: Arc<Pod>) {
        self.requested.add(&pod.requests);
        self.scored.milli_cpu = self.scored.milli_cpu.saturating_add(pod.scored.milli_cpu);
        self.scored.memory = self.scored.memory.saturating_add(pod.scored.memory);
        self.ports.extend(pod.ports.iter().cloned());
        self.pods.push(pod);
    }

    /// Takes a pod away that was added; one that was not changes nothing.
    pub(crate) fn remove(&mut self, uid: &str) {
        let Some(at) = self.pods.iter().position(|pod| pod.uid == uid) else { return };
        let pod = self.pods.swap_remove(at);
        self.requested.subtract(&pod.requests);
        self.scored.milli_cpu -= pod.scored.milli_cpu;
        self.scored.memory -= pod.scored.memory;
        for port in &pod.ports {
            if let Some(at) = self.ports.iter().position(|taken| taken == port) {
                self.ports.swap_remove(at);
            }
        }
    }
}
