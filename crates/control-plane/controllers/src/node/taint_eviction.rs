//! Pods leave a node with a `NoExecute` taint that they do not tolerate, at once or when their toleration runs out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;
use windlass_api::resource::{NODES, PODS};
use windlass_api::taint::Taint;
use windlass_api::time::Clock;
use windlass_api::{ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, EventType, Informer, Outcome, Recorder, WorkQueue};

use super::view::Node;
use crate::context::Context;
use crate::owners::OwnerKind;
use crate::pod_control::reference;
use crate::pods::{Pod, disruption_target, index_by_node, on_node, set_condition};
use crate::write::delete;

const NAME: &str = "taint-eviction-controller";
const WORKERS: usize = 8;

struct Controller {
    client: Client,
    recorder: Recorder,
    clock: Clock,
    nodes: Arc<Informer>,
    pods: Arc<Informer>,
    /// Since when a pod (by UID) lives on borrowed time.
    since: Mutex<HashMap<String, Instant>>,
}

pub(crate) async fn run(context: Context) {
    let client = context.client("node-controller");
    let controller = Controller {
        recorder: context.recorder(&client, NAME),
        client,
        clock: context.clock,
        nodes: context.informer(&NODES),
        pods: context.informer(&PODS),
        since: Mutex::default(),
    };
    index_by_node(&controller.pods);
    controller.nodes.synced().await;
    controller.pods.synced().await;
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.pods.subscribe(move |change| changed.add(change.object().key.clone()));
    let (changed, pods) = (queue.clone(), controller.pods.clone());
    controller.nodes.subscribe(move |change| {
        let taints = |object: &Option<windlass_client::Object>| {
            let node = object.as_ref()?.decode::<Node>().ok()?;
            Some(no_execute(&node.spec.taints).cloned().collect::<Vec<Taint>>())
        };
        if change.old.is_none() || taints(&change.old) != taints(&change.new) {
            on_node(&pods, &change.object().key.name).iter().for_each(|pod| changed.add(pod.metadata.key()));
        }
    });
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

fn no_execute(taints: &[Taint]) -> impl Iterator<Item = &Taint> {
    taints.iter().filter(|taint| taint.effect == "NoExecute")
}

/// How long a pod may stay on a node with these taints.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    Seconds(u64),
}

fn stay(pod: &Pod, taints: &[Taint]) -> Stay {
    let mut shortest = Stay::Forever;
    for taint in no_execute(taints) {
        let tolerations: Vec<_> =
            pod.spec.tolerations.iter().filter(|toleration| toleration.tolerates(taint)).collect();
        if tolerations.is_empty() {
            return Stay::Seconds(0);
        }
        for seconds in tolerations.iter().filter_map(|toleration| toleration.toleration_seconds) {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            shortest = match shortest {
                Stay::Seconds(before) => Stay::Seconds(before.min(seconds)),
                Stay::Forever => Stay::Seconds(seconds),
            };
        }
    }
    shortest
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(pod) = self.pods.read::<Pod>(&key) else { return Ok(Outcome::Done) };
        let node = self.nodes.read::<Node>(&ObjectKey::new("", pod.spec.node_name.clone()));
        let taints = node.map(|node| node.spec.taints).unwrap_or_default();
        let stay = if pod.is_active() { stay(&pod, &taints) } else { Stay::Forever };
        let Stay::Seconds(seconds) = stay else {
            let reprieved = self.since.lock().remove(&pod.metadata.uid);
            if reprieved.is_some() && pod.is_active() {
                self.tell(&pod, format!("Cancelling deletion of Pod {key}"));
            }
            return Ok(Outcome::Done);
        };
        let since = *self.since.lock().entry(pod.metadata.uid.clone()).or_insert_with(Instant::now);
        let left = Duration::from_secs(seconds).saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Ok(Outcome::Again(left));
        }
        self.evict(&pod).await?;
        self.since.lock().remove(&pod.metadata.uid);
        Ok(Outcome::Done)
    }

    fn tell(&self, pod: &Pod, message: String) {
        let about = reference(OwnerKind { api_version: "v1", kind: "Pod" }, &pod.metadata);
        self.recorder.event(&about, EventType::Normal, "TaintManagerEviction", message);
    }

    async fn evict(&self, pod: &Pod) -> Result<(), Status> {
        let key = pod.metadata.key();
        self.tell(pod, format!("Marking for deletion Pod {key}"));
        let message = "Taint manager: deleting due to NoExecute taint";
        let why = disruption_target(pod, "DeletionByTaintManager", message, self.clock.now());
        set_condition(&self.client, pod, json!({}), why).await?;
        delete(&self.client, &PODS, &key, &DeleteOptions::of_uid(pod.metadata.uid.clone())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_pod_may_stay() {
        let taints = [
            Taint { key: "a".into(), value: "x".into(), effect: "NoExecute".into(), time_added: None },
            Taint { key: "b".into(), value: String::new(), effect: "NoSchedule".into(), time_added: None },
        ];
        let with = |tolerations: serde_json::Value| -> Stay {
            let pod: Pod = serde_json::from_value(json!({"spec": {"tolerations": tolerations}})).unwrap();
            stay(&pod, &taints)
        };
        assert_eq!(with(json!([])), Stay::Seconds(0));
        assert_eq!(with(json!([{"operator": "Exists"}])), Stay::Forever);
        assert_eq!(with(json!([{"key": "a", "value": "y"}])), Stay::Seconds(0));
        assert_eq!(with(json!([{"key": "a", "value": "x", "tolerationSeconds": 30}])), Stay::Seconds(30));
        assert_eq!(with(json!([{"key": "a", "operator": "Exists", "tolerationSeconds": -1}])), Stay::Seconds(0));
        let pod: Pod = serde_json::from_value(json!({})).unwrap();
        assert_eq!(stay(&pod, &taints[1..]), Stay::Forever);
    }
}
