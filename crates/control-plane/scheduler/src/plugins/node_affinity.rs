//! NodeAffinity: the labels and names of nodes that a pod demands (nodeSelector, required terms) or prefers.

use std::collections::BTreeSet;

use crate::cache::{Cluster, NodeId, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, PreScore, Rejection, Requeue, Score};
use crate::object::pod::Wishes;
use crate::object::pod_raw::PreferredTerm;
use crate::object::{Node, Pod};
use crate::plugins::normalize;

pub(super) struct NodeAffinity;

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }
}

/// Whether a node has what the pod demands of it by `nodeSelector` and required terms.
pub(super) fn demanded(wishes: &Wishes, node: &Node) -> bool {
    wishes.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
        && wishes.node_affinity.as_ref().is_none_or(|selector| selector.matches(&node.name, &node.labels))
}

impl Requeue for NodeAffinity {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        match event {
            Event::Node { old, new } => {
                demanded(pod.wishes(), new) && old.as_ref().is_none_or(|old| !demanded(pod.wishes(), old))
            }
            _ => false,
        }
    }
}

impl PreFilter for NodeAffinity {
    fn pre_filter<'a>(&'a self, _cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        let wishes = pod.wishes();
        if wishes.node_selector.is_empty() && wishes.node_affinity.is_none() {
            return PreFiltered::Skip;
        }
        let names = wishes.node_affinity.as_ref().and_then(|selector| selector.names());
        if names.as_ref().is_some_and(Vec::is_empty)
            && wishes.node_affinity.as_ref().is_some_and(|selector| !selector.node_selector_terms.is_empty())
        {
            return PreFiltered::Reject(Rejection::unresolvable("pod affinity terms conflict"));
        }
        let nodes = names.map(|names| names.into_iter().map(str::to_owned).collect::<BTreeSet<_>>());
        let nodes = nodes.filter(|names| !names.is_empty());
        PreFiltered::Filter { filter: Box::new(Demanded(wishes)), nodes }
    }
}

struct Demanded<'a>(&'a Wishes);

impl Filter for Demanded<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if demanded(self.0, &node.node) {
            Ok(())
        } else {
            Err(Rejection::unresolvable("node(s) didn't match Pod's node affinity/selector"))
        }
    }
}

impl PreScore for NodeAffinity {
    fn weight(&self) -> i64 {
        2
    }

    fn pre_score<'a>(
        &'a self,
        _cluster: &'a Cluster,
        pod: &'a Pod,
        _feasible: &[NodeId],
    ) -> Option<Box<dyn Score + 'a>> {
        let preferred = &pod.wishes().preferred_nodes;
        (!preferred.is_empty()).then(|| Box::new(Preferred(preferred)) as _)
    }
}

struct Preferred<'a>(&'a [PreferredTerm]);

impl Score for Preferred<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let matching = self.0.iter().filter(|term| term.preference.matches(node.name(), &node.node.labels));
        matching.map(|term| term.weight).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize::by_greatest(scores, false);
    }
}
