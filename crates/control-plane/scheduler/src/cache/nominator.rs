//! Pods that made room for themselves on a node, or were told to wait for one: nobody of lower rank may take their place.

use std::collections::HashMap;
use std::sync::Arc;

use windlass_api::ObjectKey;

use crate::object::Pod;

#[derive(Debug, Default)]
pub(crate) struct Nominator {
    by_node: HashMap<String, Vec<Arc<Pod>>>,
    node_of: HashMap<ObjectKey, String>,
}

impl Nominator {
    /// Notes where the pod is nominated; an empty name is nowhere.
    pub(crate) fn set(&mut self, pod: &Arc<Pod>, node: &str) {
        self.remove(&pod.key);
        if !node.is_empty() {
            self.by_node.entry(node.to_owned()).or_default().push(pod.clone());
            self.node_of.insert(pod.key.clone(), node.to_owned());
        }
    }

    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        let Some(node) = self.node_of.remove(key) else { return };
        if let Some(pods) = self.by_node.get_mut(&node) {
            pods.retain(|pod| pod.key != *key);
            if pods.is_empty() {
                self.by_node.remove(&node);
            }
        }
    }

    pub(crate) fn node_of(&self, key: &ObjectKey) -> Option<&str> {
        self.node_of.get(key).map(String::as_str)
    }

    pub(crate) fn on(&self, node: &str) -> &[Arc<Pod>] {
        if self.by_node.is_empty() { &[] } else { self.by_node.get(node).map_or(&[], Vec::as_slice) }
    }
}
