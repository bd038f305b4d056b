//! NodeResourcesBalancedAllocation: better a node whose resources are used up evenly, with the pod than without it.

use crate::cache::{Cluster, NodeId, NodeInfo};
use crate::framework::{MAX_SCORE, Plugin, PreScore, Score};
use crate::object::Pod;

pub(super) struct NodeResourcesBalancedAllocation;

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }
}

impl PreScore for NodeResourcesBalancedAllocation {
    fn weight(&self) -> i64 {
        1
    }

    fn pre_score<'a>(
        &'a self,
        _cluster: &'a Cluster,
        pod: &'a Pod,
        _feasible: &[NodeId],
    ) -> Option<Box<dyn Score + 'a>> {
        let (milli_cpu, memory) = (pod.requests.milli_cpu, pod.requests.memory);
        // Pods that request nothing would all come together on one node.
        (milli_cpu != 0 || memory != 0).then(|| Box::new(Balance { milli_cpu, memory }) as _)
    }
}

struct Balance {
    milli_cpu: i64,
    memory: i64,
}

/// How even the use of CPU and memory is; each is a request and what there is.
fn evenness(resources: [(i64, i64); 2]) -> i64 {
    let fraction =
        |(requested, capacity): (i64, i64)| (capacity != 0).then(|| (requested as f64 / capacity as f64).min(1.0));
    let deviation = match resources.map(fraction) {
        [Some(cpu), Some(memory)] => ((cpu - memory) / 2.0).abs(),
        _ => 0.0,
    };
    ((1.0 - deviation) * MAX_SCORE as f64) as i64
}

impl Score for Balance {
    fn score(&self, node: &NodeInfo) -> i64 {
        let (have, taken) = (&node.node.allocatable, &node.requested);
        let with = evenness([
            (taken.milli_cpu.saturating_add(self.milli_cpu), have.milli_cpu),
            (taken.memory.saturating_add(self.memory), have.memory),
        ]);
        let without = evenness([(taken.milli_cpu, have.milli_cpu), (taken.memory, have.memory)]);
        MAX_SCORE / 2 + (MAX_SCORE / 2 + with - without) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_use_is_best() {
        let cases = [
            ([(0, 100), (0, 100)], 100),
            ([(50, 100), (50, 100)], 100),
            ([(100, 100), (0, 100)], 50),
            ([(60, 100), (20, 100)], 80),
            ([(500, 100), (100, 100)], 100),
            ([(1, 0), (20, 100)], 100),
        ];
        for (resources, expected) in cases {
            assert_eq!(evenness(resources), expected, "{resources:?}");
        }
    }
}
