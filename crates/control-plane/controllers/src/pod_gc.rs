//! Pods that nobody will ever finish are removed: those on nodes that are gone, those that were deleted before they had a node, and
//! the oldest of those that have ended, when there are very many.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use windlass_api::resource::{NODES, PODS};
use windlass_api::time::Clock;
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, Informer, Outcome, WorkQueue};

use crate::context::Context;
use crate::pods::{Pod, disruption_target, index_by_node, on_node, set_condition};
use crate::write::delete;

const NAME: &str = "pod-garbage-collector";
/// A node may come back, so its pods are kept for this long.
const QUARANTINE: Duration = Duration::from_secs(40);
/// Pods that have ended and may stay for people to look at.
const ENDED_MAX: usize = 12_500;
const LOOK_AGAIN: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Work {
    Pod(ObjectKey),
    /// The node of this name is gone.
    Node(String),
    /// Count the pods that have ended.
    Ended,
}

struct Controller {
    client: Client,
    clock: Clock,
    nodes: Arc<Informer>,
    pods: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        clock: context.clock,
        nodes: context.informer(&NODES),
        pods: context.informer(&PODS),
    };
    index_by_node(&controller.pods);
    controller.nodes.synced().await;
    controller.pods.synced().await;
    let queue = WorkQueue::new();
    let gone = queue.clone();
    controller.nodes.subscribe(move |change| {
        if change.new.is_none() {
            gone.add_after(Work::Node(change.object().key.name.clone()), QUARANTINE);
        }
    });
    let (changed, nodes) = (queue.clone(), controller.nodes.clone());
    controller.pods.subscribe(move |change| {
        let Some(pod) = change.new.as_ref().and_then(|object| object.decode::<Pod>().ok()) else { return };
        let node = &pod.spec.node_name;
        if node.is_empty() && pod.metadata.is_deleting() {
            changed.add(Work::Pod(pod.metadata.key()));
        } else if !node.is_empty() && change.old.is_none() && nodes.get(&ObjectKey::new("", node.clone())).is_none() {
            changed.add_after(Work::Node(node.clone()), QUARANTINE);
        }
    });
    queue.add(Work::Ended);
    let sync = async |work: Work| match work {
        Work::Pod(key) => controller.remove_unscheduled(&key).await,
        Work::Node(name) => controller.remove_of_node(&name).await,
        Work::Ended => controller.remove_ended().await,
    };
    queue.run(NAME, 2, sync).await;
}

impl Controller {
    async fn remove_unscheduled(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let pod = self.pods.read::<Pod>(key);
        if let Some(pod) = pod.filter(|pod| pod.spec.node_name.is_empty() && pod.metadata.is_deleting()) {
            self.delete(&pod).await?;
        }
        Ok(Outcome::Done)
    }

    async fn remove_of_node(&self, name: &str) -> Result<Outcome, Status> {
        match self.client.get(&NODES, &ObjectKey::new("", name)).await {
            Ok(_) => return Ok(Outcome::Done),
            Err(status) if !status.is_not_found() => return Err(status),
            Err(_) => {}
        }
        for pod in on_node(&self.pods, name) {
            if !pod.has_ended() {
                self.fail(&pod).await?;
            }
            tracing::info!(pod = %pod.metadata.key(), node = name, "removing a pod whose node is gone");
            self.delete(&pod).await?;
        }
        Ok(Outcome::Done)
    }

    /// Says that the pod has ended, and why, so that who made it sees what became of it.
    async fn fail(&self, pod: &Pod) -> Result<(), Status> {
        let message = "PodGC: node no longer exists";
        let why = disruption_target(pod, "DeletionByPodGC", message, self.clock.now());
        set_condition(&self.client, pod, json!({"phase": "Failed"}), why).await
    }

    async fn remove_ended(&self) -> Result<Outcome, Status> {
        if self.pods.len() <= ENDED_MAX {
            return Ok(Outcome::Again(LOOK_AGAIN));
        }
        let all = self.pods.list("").into_iter().filter_map(|object| object.decode::<Pod>().ok());
        let mut ended: Vec<Pod> = all.filter(Pod::has_ended).collect();
        let excess = ended.len().saturating_sub(ENDED_MAX);
        ended.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone()));
        for pod in ended.into_iter().take(excess) {
            self.delete(&pod).await?;
        }
        Ok(Outcome::Again(LOOK_AGAIN))
    }

    async fn delete(&self, pod: &Pod) -> Result<(), Status> {
        let options = DeleteOptions::of_uid(pod.metadata.uid.clone()).grace_seconds(0);
        delete(&self.client, &PODS, &pod.metadata.key(), &options).await
    }
}
