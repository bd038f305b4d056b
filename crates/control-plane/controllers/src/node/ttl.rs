//! Says on each node for how long its kubelet may keep Secrets and ConfigMaps before it reads them again: the longer, the more nodes
//! there are (`node.alpha.kubernetes.io/ttl`, in seconds).
//!
//! Source: upstream `pkg/controller/ttl`.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use windlass_api::resource::NODES;
use windlass_api::{ObjectKey, Status};
use windlass_client::{OBJECT, Outcome, WorkQueue};

use super::view::Node;
use crate::context::Context;

const NAME: &str = "ttl-controller";
const WORKERS: usize = 2;
const TTL: &str = "node.alpha.kubernetes.io/ttl";

/// A size of the cluster, and the time that goes with it. Sizes overlap, so that a node that comes and goes does not change all others.
struct Step {
    least_nodes: usize,
    most_nodes: usize,
    ttl_seconds: u32,
}

const STEPS: [Step; 5] = [
    Step { least_nodes: 0, most_nodes: 100, ttl_seconds: 0 },
    Step { least_nodes: 90, most_nodes: 500, ttl_seconds: 15 },
    Step { least_nodes: 450, most_nodes: 1000, ttl_seconds: 30 },
    Step { least_nodes: 900, most_nodes: 2000, ttl_seconds: 60 },
    Step { least_nodes: 1800, most_nodes: usize::MAX, ttl_seconds: 300 },
];

/// How many nodes there are, and at which step that is.
#[derive(Debug, Default)]
struct Size {
    nodes: usize,
    step: usize,
}

impl Size {
    /// Takes in how many nodes there are; says whether the time is another than before.
    fn set(&mut self, nodes: usize) -> bool {
        let before = self.step;
        self.nodes = nodes;
        while self.nodes > STEPS[self.step].most_nodes {
            self.step += 1;
        }
        while self.nodes < STEPS[self.step].least_nodes {
            self.step -= 1;
        }
        self.step != before
    }

    fn ttl_seconds(&self) -> u32 {
        STEPS[self.step].ttl_seconds
    }
}

pub(crate) async fn run(context: Context) {
    let (client, nodes) = (context.client(NAME), context.informer(&NODES));
    let (queue, size) = (WorkQueue::new(), Arc::new(Mutex::new(Size::default())));
    let (changed, sized, all) = (queue.clone(), size.clone(), Arc::downgrade(&nodes));
    nodes.subscribe(move |change| {
        let mut size = sized.lock();
        let count = match (&change.old, &change.new) {
            (None, Some(_)) => size.nodes + 1,
            (Some(_), None) => size.nodes.saturating_sub(1),
            _ => size.nodes,
        };
        if size.set(count) {
            let all = all.upgrade().map(|nodes| nodes.list("")).unwrap_or_default();
            all.into_iter().for_each(|node| changed.add(node.key));
        }
        changed.add(change.object().key.clone());
    });
    nodes.synced().await;
    let sync = async |key: ObjectKey| -> Result<Outcome, Status> {
        let Some(node) = nodes.read::<Node>(&key) else { return Ok(Outcome::Done) };
        let ttl = size.lock().ttl_seconds().to_string();
        if node.metadata.annotations.get(TTL) == Some(&ttl) {
            return Ok(Outcome::Done);
        }
        let patch = json!({"metadata": {"uid": node.metadata.uid, "annotations": {TTL: ttl}}});
        match client.patch(&NODES, &key, OBJECT, &patch).await {
            Ok(written) => nodes.reached(written.revision).await,
            Err(status) if status.says_gone() => {}
            Err(status) => return Err(status),
        }
        Ok(Outcome::Done)
    };
    queue.run(NAME, WORKERS, sync).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_follows_the_size_with_some_delay() {
        let mut size = Size::default();
        for (nodes, expected) in [
            (0, 0),
            (100, 0),
            (101, 15),
            (95, 15),
            (90, 15),
            (89, 0),
            (500, 15),
            (501, 30),
            (1001, 60),
            (2001, 300),
            (1800, 300),
            (1799, 60),
            (5000, 300),
            (3, 0),
        ] {
            size.set(nodes);
            assert_eq!(size.ttl_seconds(), expected, "{nodes}");
        }
        assert!(!size.set(4) && size.set(101));
    }
}
