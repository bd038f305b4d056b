//! TaintToleration: taints keep pods away that do not tolerate them; of PreferNoSchedule taints, fewer are better.

use windlass_api::taint::{Taint, Toleration};

use crate::cache::{Cluster, NodeId, NodeInfo};
use crate::framework::{Event, Filter, Plugin, PreFilter, PreFiltered, PreScore, Rejection, Requeue, Score};
use crate::object::{Node, Pod};
use crate::plugins::normalize;

pub(super) struct TaintToleration;

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }
}

fn admitted(node: &Node, tolerations: &[Toleration]) -> bool {
    node.taints.iter().all(|taint| !taint.keeps_away() || taint.is_tolerated(tolerations))
}

impl Requeue for TaintToleration {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        let tolerations = &pod.wishes().tolerations;
        match event {
            Event::Node { old, new } => {
                admitted(new, tolerations) && old.as_ref().is_none_or(|old| !admitted(old, tolerations))
            }
            _ => false,
        }
    }
}

impl PreFilter for TaintToleration {
    fn pre_filter<'a>(&'a self, _cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        PreFiltered::filter(Admitted(&pod.wishes().tolerations))
    }
}

struct Admitted<'a>(&'a [Toleration]);

impl Filter for Admitted<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        if admitted(&node.node, self.0) {
            Ok(())
        } else {
            Err(Rejection::unresolvable("node(s) had untolerated taint(s)"))
        }
    }
}

impl PreScore for TaintToleration {
    fn weight(&self) -> i64 {
        3
    }

    fn pre_score<'a>(&'a self, cluster: &'a Cluster, pod: &'a Pod, feasible: &[NodeId]) -> Option<Box<dyn Score + 'a>> {
        let discouraged = |id: &NodeId| {
            cluster
                .node(*id)
                .is_some_and(|node| node.node.taints.iter().any(|taint| taint.effect == "PreferNoSchedule"))
        };
        if !feasible.iter().any(discouraged) {
            return None;
        }
        // A toleration of another effect has no say here.
        let says = |toleration: &&Toleration| matches!(toleration.effect.as_str(), "" | "PreferNoSchedule");
        Some(Box::new(Discouraged(pod.wishes().tolerations.iter().filter(says).cloned().collect())))
    }
}

/// Counts taints that discourage the pod.
struct Discouraged(Vec<Toleration>);

impl Score for Discouraged {
    fn score(&self, node: &NodeInfo) -> i64 {
        let discouraging = |taint: &&Taint| taint.effect == "PreferNoSchedule" && !taint.is_tolerated(&self.0);
        node.node.taints.iter().filter(discouraging).count().try_into().unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize::by_greatest(scores, true);
    }
}
