//! NodeResourcesFit: a node must have what the pod requests; nodes with more left are better (LeastAllocated).

use smallvec::SmallVec;

use crate::cache::{Cluster, NodeId, NodeInfo};
use crate::framework::{Event, Filter, MAX_SCORE, Plugin, PreFilter, PreFiltered, PreScore, Rejection, Requeue, Score};
use crate::object::pod::Scored;
use crate::object::{Node, Pod, Resources};

pub(super) struct NodeResourcesFit;

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }
}

/// What is missing when `requests` come on top of `taken`.
fn missing(requests: &Resources, pods: usize, taken: &Resources, node: &Node) -> Result<(), Rejection> {
    let mut rejection = Rejection { reasons: SmallVec::new(), preemption_may_help: true };
    if i64::try_from(pods + 1).is_ok_and(|pods| pods > node.pods_max) {
        rejection.reasons.push("Too many pods".into());
    }
    let have = &node.allocatable;
    let mut check = |wanted: i64, taken: i64, capacity: i64, reason: &dyn Fn() -> std::borrow::Cow<'static, str>| {
        if wanted > 0 && wanted > capacity.saturating_sub(taken) {
            rejection.reasons.push(reason());
            rejection.preemption_may_help &= wanted <= capacity;
        }
    };
    check(requests.milli_cpu, taken.milli_cpu, have.milli_cpu, &|| "Insufficient cpu".into());
    check(requests.memory, taken.memory, have.memory, &|| "Insufficient memory".into());
    check(requests.ephemeral_storage, taken.ephemeral_storage, have.ephemeral_storage, &|| {
        "Insufficient ephemeral-storage".into()
    });
    for (name, wanted) in &requests.scalar {
        check(*wanted, taken.scalar(name), have.scalar(name), &|| format!("Insufficient {name}").into());
    }
    if rejection.reasons.is_empty() { Ok(()) } else { Err(rejection) }
}

/// Whether an empty node would be large enough.
fn could_fit(pod: &Pod, node: &Node) -> bool {
    missing(&pod.requests, 0, &Resources::default(), node).is_ok()
}

fn has_grown(pod: &Pod, old: &Node, new: &Node) -> bool {
    let (wanted, before, after) = (&pod.requests, &old.allocatable, &new.allocatable);
    new.pods_max > old.pods_max
        || (wanted.milli_cpu > 0 && after.milli_cpu > before.milli_cpu)
        || (wanted.memory > 0 && after.memory > before.memory)
        || (wanted.ephemeral_storage > 0 && after.ephemeral_storage > before.ephemeral_storage)
        || wanted.scalar.iter().any(|(name, n)| *n > 0 && after.scalar(name) > before.scalar(name))
}

impl Requeue for NodeResourcesFit {
    fn may_help(&self, pod: &Pod, event: &Event) -> bool {
        match event {
            Event::Node { old: None, new } => could_fit(pod, new),
            Event::Node { old: Some(old), new } => could_fit(pod, new) && has_grown(pod, old, new),
            // Every pod gives up at least its own place.
            Event::PodDeleted(_) => true,
            Event::PodUpdated { old, new } => {
                let (before, after) = (&old.requests, &new.requests);
                after.milli_cpu < before.milli_cpu || after.memory < before.memory || after.scalar != before.scalar
            }
            _ => false,
        }
    }
}

impl PreFilter for NodeResourcesFit {
    fn pre_filter<'a>(&'a self, _cluster: &'a Cluster, pod: &'a Pod) -> PreFiltered<'a> {
        PreFiltered::filter(Fits(&pod.requests))
    }
}

struct Fits<'a>(&'a Resources);

impl Filter for Fits<'_> {
    fn filter(&self, node: &NodeInfo) -> Result<(), Rejection> {
        missing(self.0, node.pods.len(), &node.requested, &node.node)
    }
}

impl PreScore for NodeResourcesFit {
    fn weight(&self) -> i64 {
        1
    }

    fn pre_score<'a>(
        &'a self,
        _cluster: &'a Cluster,
        pod: &'a Pod,
        _feasible: &[NodeId],
    ) -> Option<Box<dyn Score + 'a>> {
        Some(Box::new(LeastAllocated(pod.scored)))
    }
}

struct LeastAllocated(Scored);

/// The share that is left, in per cent; `None` for a resource that the node does not have.
fn left(requested: i64, capacity: i64) -> Option<i64> {
    match capacity {
        0 => None,
        capacity if requested > capacity => Some(0),
        capacity => Some((capacity - requested).saturating_mul(MAX_SCORE) / capacity),
    }
}

impl Score for LeastAllocated {
    fn score(&self, node: &NodeInfo) -> i64 {
        let have = &node.node.allocatable;
        let cpu = left(node.scored.milli_cpu.saturating_add(self.0.milli_cpu), have.milli_cpu);
        let memory = left(node.scored.memory.saturating_add(self.0.memory), have.memory);
        match (cpu, memory) {
            (Some(cpu), Some(memory)) => i64::midpoint(cpu, memory),
            (one, other) => one.or(other).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(cpu: i64, memory: i64) -> Node {
        let allocatable = Resources { milli_cpu: cpu, memory, ..Resources::default() };
        Node { name: "n".to_owned(), allocatable, pods_max: 3, ..Node::default() }
    }

    #[test]
    fn what_is_missing() {
        let of = |cpu, memory| Resources { milli_cpu: cpu, memory, ..Resources::default() };
        let gpu = Resources { scalar: vec![("example.com/gpu".into(), 1)], ..Resources::default() };
        // requests, pods, taken, reasons, whether preemption may help
        let cases: [(Resources, usize, Resources, &[&str], bool); 6] = [
            (of(0, 0), 2, of(1000, 0), &[], true),
            (of(0, 0), 3, of(0, 0), &["Too many pods"], true),
            (of(500, 1), 0, of(600, 0), &["Insufficient cpu"], true),
            (of(500, 200), 3, of(600, 0), &["Too many pods", "Insufficient cpu", "Insufficient memory"], false),
            (of(1001, 0), 0, of(0, 0), &["Insufficient cpu"], false),
            (gpu, 0, of(0, 0), &["Insufficient example.com/gpu"], false),
        ];
        for (requests, pods, taken, reasons, may_help) in cases {
            match missing(&requests, pods, &taken, &node(1000, 100)) {
                Ok(()) => assert!(reasons.is_empty(), "{requests:?}"),
                Err(rejection) => {
                    assert_eq!(rejection.reasons.as_slice(), reasons);
                    assert_eq!(rejection.preemption_may_help, may_help, "{requests:?}");
                }
            }
        }
    }

    #[test]
    fn shares_that_are_left() {
        for (requested, capacity, expected) in
            [(0, 1000, Some(100)), (250, 1000, Some(75)), (1000, 1000, Some(0)), (1001, 1000, Some(0)), (1, 0, None)]
        {
            assert_eq!(left(requested, capacity), expected);
        }
    }
}
