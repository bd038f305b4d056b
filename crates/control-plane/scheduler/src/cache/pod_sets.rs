//! Pods that are alike: those of a namespace with the same labels and the same affinity.
//!
//! Spreading and affinity ask how many pods with certain labels are in a zone or on a node. The pods of a workload are all alike,
//! so what is asked of pods is asked of sets instead, and a set counts how many of it are on which node. A cycle costs as
//! many steps as there are sets in the namespaces concerned, and nodes under those that match, however many pods there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::node_info::NodeId;
use crate::object::affinity::PodAffinity;
use crate::object::{Labels, Pod};

/// How many pods of a set are on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub all: u32,
    /// Without those whose deletion has begun.
    pub staying: u32,
}

/// Pods of one namespace that are alike.
#[derive(Debug)]
pub(crate) struct PodSet {
    pub namespace: Arc<str>,
    pub labels: Arc<Labels>,
    pub affinity: Option<Arc<PodAffinity>>,
    pub nodes: BTreeMap<NodeId, Count>,
}

type SetId = usize;
/// Labels and affinity, in a form that can be looked up.
type Likeness = (Arc<Labels>, Option<String>);

#[derive(Debug, Default)]
pub(crate) struct PodSets {
    sets: Vec<Option<PodSet>>,
    free: Vec<SetId>,
    by_namespace: HashMap<Arc<str>, BTreeMap<Likeness, SetId>>,
    with_affinity: BTreeSet<SetId>,
}

impl PodSets {
    pub(crate) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = &PodSet> {
        self.by_namespace.get(namespace).into_iter().flat_map(BTreeMap::values).filter_map(|id| self.sets[*id].as_ref())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &PodSet> {
        self.sets.iter().flatten()
    }

    /// The sets whose pods have a say about who else may be near them.
    pub(crate) fn with_affinity(&self) -> impl Iterator<Item = &PodSet> {
        self.with_affinity.iter().filter_map(|id| self.sets[*id].as_ref())
    }

    fn likeness(pod: &Pod) -> Likeness {
        // Affinity is rare, and its printed form is as good a key as any.
        (pod.labels.clone(), pod.affinity.as_ref().map(|affinity| format!("{affinity:?}")))
    }

    pub(crate) fn add(&mut self, pod: &Pod, node: NodeId) {
        let likeness = Self::likeness(pod);
        let id = match self.by_namespace.get(pod.key.namespace.as_str()).and_then(|sets| sets.get(&likeness)) {
            Some(id) => *id,
            None => self.make(pod, likeness),
        };
        if let Some(set) = &mut self.sets[id] {
            let count = set.nodes.entry(node).or_default();
            count.all += 1;
            count.staying += u32::from(!pod.terminating);
        }
    }

    fn make(&mut self, pod: &Pod, likeness: Likeness) -> SetId {
        let namespace: Arc<str> = pod.key.namespace.as_str().into();
        let set = PodSet {
            namespace: namespace.clone(),
            labels: pod.labels.clone(),
            affinity: pod.affinity.clone(),
            nodes: BTreeMap::new(),
        };
        let id = self.free.pop().unwrap_or_else(|| {
            self.sets.push(None);
            self.sets.len() - 1
        });
        self.sets[id] = Some(set);
        self.by_namespace.entry(namespace).or_default().insert(likeness, id);
        if pod.affinity.is_some() {
            self.with_affinity.insert(id);
        }
        id
    }

    pub(crate) fn remove(&mut self, pod: &Pod, node: NodeId) {
        let likeness = Self::likeness(pod);
        let Some(sets) = self.by_namespace.get_mut(pod.key.namespace.as_str()) else { return };
        let Some(&id) = sets.get(&likeness) else { return };
        let Some(set) = &mut self.sets[id] else { return };
        if let Some(count) = set.nodes.get_mut(&node) {
            count.all -= 1;
            count.staying -= u32::from(!pod.terminating);
            if count.all == 0 {
                set.nodes.remove(&node);
            }
        }
        if set.nodes.is_empty() {
            self.sets[id] = None;
            self.free.push(id);
            self.with_affinity.remove(&id);
            sets.remove(&likeness);
            if sets.is_empty() {
                self.by_namespace.remove(pod.key.namespace.as_str());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::pod::tests::pod;

    #[test]
    fn likes_are_counted_and_forgotten() {
        let of = |name: &str, app: &str, deleting: bool| {
            let deleted = deleting.then_some("2026-11-21T06:20:00Z");
            pod(
                json!({"metadata": {"name": name, "namespace": "ns", "labels": {"app": app}, "deletionTimestamp": deleted}}),
            )
        };
        let mut sets = PodSets::default();
        let pods = [of("a", "x", false), of("b", "x", true), of("c", "y", false)];
        for pod in &pods {
            sets.add(pod, NodeId(3));
        }
        let counts: Vec<Count> = sets.in_namespace("ns").map(|set| set.nodes[&NodeId(3)]).collect();
        assert_eq!(counts, [Count { all: 2, staying: 1 }, Count { all: 1, staying: 1 }]);
        assert_eq!(sets.in_namespace("other").count(), 0);
        for pod in &pods {
            sets.remove(pod, NodeId(3));
        }
        assert_eq!(sets.all().count(), 0);
        assert!(sets.by_namespace.is_empty());
    }
}
