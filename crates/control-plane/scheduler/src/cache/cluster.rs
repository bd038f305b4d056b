//! The cluster as a scheduling cycle sees it.
//!
//! A pod is here when it has a node, by the API's word or by this scheduler's own decision that the API has not confirmed yet (it
//! is *assumed* then). A node that is deleted while pods are on it stays, out of sight, until they have gone.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use windlass_api::ObjectKey;

use super::node_info::{NodeId, NodeInfo};
use super::node_order::interleaved;
use super::pod_sets::PodSets;
use super::topology::Topology;
use crate::object::{Labels, Node, Pod};
use crate::surroundings::Surroundings;

/// Label keys whose domains are remembered.
const TOPOLOGIES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Cluster {
    nodes: Vec<Option<NodeInfo>>,
    free: Vec<NodeId>,
    by_name: HashMap<String, NodeId>,
    /// Those that exist, in the order of search.
    order: Vec<NodeId>,
    order_is_stale: bool,
    /// By label key; forgotten when a node's labels change.
    topologies: Mutex<HashMap<String, Arc<Topology>>>,
    assumed: usize,
    pods: HashMap<ObjectKey, Placed>,
    pub(crate) pod_sets: PodSets,
    /// On how many nodes an image is.
    images: HashMap<String, u32>,
    /// How many pods use a claim.
    claims: HashMap<ObjectKey, u32>,
    pub(crate) surroundings: Surroundings,
}

#[derive(Debug)]
struct Placed {
    pod: Arc<Pod>,
    node: NodeId,
    assumed: bool,
}

impl Cluster {
    pub(crate) fn node(&self, id: NodeId) -> Option<&NodeInfo> {
        self.nodes.get(id.index()).and_then(Option::as_ref)
    }

    pub(crate) fn node_named(&self, name: &str) -> Option<&NodeInfo> {
        let node = self.by_name.get(name).and_then(|id| self.node(*id))?;
        (!node.node.name.is_empty()).then_some(node)
    }

    /// The nodes that exist, one of each zone in turn.
    pub(crate) fn nodes(&self) -> impl ExactSizeIterator<Item = &NodeInfo> + Clone {
        self.order.iter().map(|id| self.nodes[id.index()].as_ref().expect("the order lists nodes that are there"))
    }

    pub(crate) fn node_count(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn nth(&self, n: usize) -> &NodeInfo {
        let id = self.order[n % self.order.len()];
        self.nodes[id.index()].as_ref().expect("the order lists nodes that are there")
    }

    pub(crate) fn image_spread(&self, image: &str) -> u32 {
        self.images.get(image).copied().unwrap_or(0)
    }

    pub(crate) fn uses_of_claim(&self, claim: &ObjectKey) -> u32 {
        self.claims.get(claim).copied().unwrap_or(0)
    }

    pub(crate) fn pod(&self, key: &ObjectKey) -> Option<&Arc<Pod>> {
        self.pods.get(key).map(|placed| &placed.pod)
    }

    pub(crate) fn is_assumed(&self, key: &ObjectKey) -> bool {
        self.pods.get(key).is_some_and(|placed| placed.assumed)
    }

    pub(crate) fn pod_count(&self) -> usize {
        self.pods.len()
    }

    pub(crate) fn assumed_count(&self) -> usize {
        self.assumed
    }

    pub(crate) fn namespace_labels(&self, namespace: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.surroundings.namespaces.get(namespace).unwrap_or(&NONE)
    }

    /// The domains of a label key.
    pub(crate) fn topology(&self, key: &str) -> Arc<Topology> {
        let mut topologies = self.topologies.lock();
        if let Some(known) = topologies.get(key) {
            return known.clone();
        }
        if topologies.len() >= TOPOLOGIES_MAX {
            topologies.clear();
        }
        let topology = Arc::new(Topology::of(key, &self.nodes));
        topologies.insert(key.to_owned(), topology.clone());
        topology
    }

    /// Must be called after nodes have changed, before a cycle.
    pub(crate) fn refresh(&mut self) {
        if self.order_is_stale {
            self.order = interleaved(self.nodes.iter().flatten().filter(|node| !node.node.name.is_empty()));
            self.order_is_stale = false;
        }
    }

    /// The place for a node of this name, made out of sight if there is none.
    fn place(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            NodeId(u32::try_from(self.nodes.len() - 1).expect("there are fewer than four thousand million nodes"))
        });
        self.nodes[id.index()] = Some(NodeInfo::new(id, Arc::default()));
        self.by_name.insert(name.to_owned(), id);
        id
    }

    /// Gives up a place that neither a node nor a pod needs.
    fn clear(&mut self, name: &str) {
        let Some(&id) = self.by_name.get(name) else { return };
        let unused = self.node(id).is_some_and(|node| node.node.name.is_empty() && node.pods.is_empty());
        if unused {
            self.nodes[id.index()] = None;
            self.by_name.remove(name);
            self.free.push(id);
        }
    }

    /// Takes a node's new version; returns the one before.
    pub(crate) fn set_node(&mut self, node: Node) -> Option<Arc<Node>> {
        let id = self.place(&node.name);
        let new = Arc::new(node);
        let info = self.nodes[id.index()].as_mut()?;
        let old = std::mem::replace(&mut info.node, new.clone());
        if old.labels != new.labels || old.name != new.name {
            self.order_is_stale = true;
            self.topologies.get_mut().clear();
        }
        self.count_images(&old, &new);
        (!old.name.is_empty()).then_some(old)
    }

    pub(crate) fn remove_node(&mut self, name: &str) -> Option<Arc<Node>> {
        let id = *self.by_name.get(name)?;
        let info = self.nodes[id.index()].as_mut()?;
        let old = std::mem::take(&mut info.node);
        self.order_is_stale = true;
        self.topologies.get_mut().clear();
        self.count_images(&old, &Node::default());
        self.clear(name);
        (!old.name.is_empty()).then_some(old)
    }

    fn count_images(&mut self, old: &Node, new: &Node) {
        for image in old.images.keys().filter(|image| !new.images.contains_key(*image)) {
            if let Some(count) = self.images.get_mut(image) {
                *count -= 1;
                if *count == 0 {
                    self.images.remove(image);
                }
            }
        }
        for image in new.images.keys().filter(|image| !old.images.contains_key(*image)) {
            *self.images.entry(image.clone()).or_default() += 1;
        }
    }

    /// Puts a pod on the node that it is bound to; what was known of it before is replaced and returned.
    pub(crate) fn set_pod(&mut self, pod: Arc<Pod>) -> Option<Arc<Pod>> {
        let old = self.remove_pod(&pod.key);
        let node = pod.node_name.clone();
        self.put(pod, &node, false);
        old
    }

    /// Puts a pod on a node before the API knows of it.
    pub(crate) fn assume(&mut self, pod: Arc<Pod>, node: &str) {
        self.remove_pod(&pod.key);
        self.put(pod, node, true);
    }

    fn put(&mut self, pod: Arc<Pod>, node: &str, assumed: bool) {
        let id = self.place(node);
        if let Some(info) = self.nodes[id.index()].as_mut() {
            info.add(pod.clone());
        }
        self.pod_sets.add(&pod, id);
        for (claim, _) in pod.claims() {
            *self.claims.entry(claim).or_default() += 1;
        }
        self.assumed += usize::from(assumed);
        self.pods.insert(pod.key.clone(), Placed { pod, node: id, assumed });
    }

    pub(crate) fn remove_pod(&mut self, key: &ObjectKey) -> Option<Arc<Pod>> {
        let Placed { pod, node, assumed } = self.pods.remove(key)?;
        self.assumed -= usize::from(assumed);
        self.pod_sets.remove(&pod, node);
        for (claim, _) in pod.claims() {
            if let Some(count) = self.claims.get_mut(&claim) {
                *count -= 1;
                if *count == 0 {
                    self.claims.remove(&claim);
                }
            }
        }
        if let Some(info) = self.nodes[node.index()].as_mut() {
            info.remove(&pod.uid);
            if info.node.name.is_empty() && info.pods.is_empty() {
                let name = self.by_name.iter().find(|(_, id)| **id == node).map(|(name, _)| name.clone());
                name.into_iter().for_each(|name| self.clear(&name));
            }
        }
        Some(pod)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::pod::tests::pod;

    fn node(name: &str, zone: &str) -> Node {
        let labels = [("topology.kubernetes.io/zone".to_owned(), zone.to_owned())].into();
        Node { name: name.to_owned(), labels, ..Node::default() }
    }

    fn names(cluster: &mut Cluster) -> Vec<String> {
        cluster.refresh();
        cluster.nodes().map(|node| node.name().to_owned()).collect()
    }

    #[test]
    fn nodes_come_zone_by_zone() {
        let mut cluster = Cluster::default();
        for (name, zone) in [("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("c1", "c")] {
            cluster.set_node(node(name, zone));
        }
        assert_eq!(names(&mut cluster), ["a1", "b1", "c1", "a2", "a3"]);
        cluster.remove_node("b1");
        assert_eq!(names(&mut cluster), ["a1", "c1", "a2", "a3"]);
    }

    #[test]
    fn pods_come_before_and_stay_after_their_node() {
        let mut cluster = Cluster::default();
        let bound = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "1"}, "spec": {"nodeName": "n",
            "containers": [{"resources": {"requests": {"cpu": "1"}}}]}});
        let bound = Arc::new(pod(bound));
        cluster.set_pod(bound.clone());
        assert!(names(&mut cluster).is_empty());
        assert!(cluster.node_named("n").is_none());
        cluster.set_node(node("n", "z"));
        assert_eq!(cluster.node_named("n").unwrap().requested.milli_cpu, 1000);
        assert_eq!(names(&mut cluster), ["n"]);
        cluster.remove_node("n");
        assert!(names(&mut cluster).is_empty());
        cluster.remove_pod(&bound.key);
        assert!(cluster.by_name.is_empty());
        assert_eq!(cluster.pod_sets.all().count(), 0);
    }

    #[test]
    fn an_assumed_pod_is_confirmed_or_forgotten() {
        let mut cluster = Cluster::default();
        cluster.set_node(node("n", "z"));
        let waiting = Arc::new(pod(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "1"}})));
        cluster.assume(waiting.clone(), "n");
        assert!(cluster.is_assumed(&waiting.key));
        assert_eq!(cluster.node_named("n").unwrap().pods.len(), 1);
        let bound = pod(json!({"metadata": {"name": "p", "namespace": "ns", "uid": "1"}, "spec": {"nodeName": "n"}}));
        cluster.set_pod(Arc::new(bound));
        assert!(!cluster.is_assumed(&waiting.key));
        assert_eq!(cluster.node_named("n").unwrap().pods.len(), 1);
    }
}
