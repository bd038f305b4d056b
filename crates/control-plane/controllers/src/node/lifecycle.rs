//! A node whose kubelet falls silent is not ready, and taints say what is wrong with a node.
//!
//! A kubelet renews its Lease, and writes its node's status when that changes. A node that does neither for the grace period has its
//! conditions set to Unknown, and the pods on it are no longer ready. Conditions become taints: `NoSchedule` for each of them, and
//! `NoExecute` for a node that is not ready or not reachable.
//! Source: <https://kubernetes.io/docs/reference/node/node-status/>.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;
use windlass_api::condition::{self, UNKNOWN};
use windlass_api::meta::PartialObject;
use windlass_api::resource::{LEASES, NODES, PODS};
use windlass_api::taint::Taint;
use windlass_api::time::{Clock, rfc3339};
use windlass_api::well_known::{namespace, taint};
use windlass_api::{Condition, Meta, ObjectKey, Status, Timestamp};
use windlass_client::{Change, Client, EventType, Informer, OBJECT, Object, Outcome, Recorder, STATUS, WorkQueue};

use super::view::Node;
use crate::context::Context;
use crate::owners::OwnerKind;
use crate::pod_control::reference;
use crate::pods::{index_by_node, on_node, set_condition};

const NAME: &str = "node-controller";
const WORKERS: usize = 4;
const KIND: OwnerKind = OwnerKind { api_version: "v1", kind: "Node" };
/// A kubelet that has been silent for this long is gone (upstream's node-monitor-grace-period).
const GRACE: Duration = Duration::from_secs(50);
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";
/// The conditions that a kubelet reports.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// The taints that this controller gives and takes.
const MANAGED: [(&str, &str); 9] = [
    (taint::NOT_READY, NO_SCHEDULE),
    (taint::UNREACHABLE, NO_SCHEDULE),
    (taint::MEMORY_PRESSURE, NO_SCHEDULE),
    (taint::DISK_PRESSURE, NO_SCHEDULE),
    (taint::PID_PRESSURE, NO_SCHEDULE),
    (taint::NETWORK_UNAVAILABLE, NO_SCHEDULE),
    (taint::UNSCHEDULABLE, NO_SCHEDULE),
    (taint::NOT_READY, NO_EXECUTE),
    (taint::UNREACHABLE, NO_EXECUTE),
];

struct Controller {
    client: Client,
    recorder: Recorder,
    clock: Clock,
    nodes: Arc<Informer>,
    pods: Arc<Informer>,
    /// When each kubelet was last heard of, by this process's clock.
    heard: Arc<Mutex<HashMap<String, Instant>>>,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        recorder: context.recorder(&client, NAME),
        client,
        clock: context.clock,
        nodes: context.informer(&NODES),
        pods: context.informer(&PODS),
        heard: Arc::default(),
    };
    index_by_node(&controller.pods);
    let queue = WorkQueue::new();
    let (changed, heard, recorder) = (queue.clone(), controller.heard.clone(), controller.recorder.clone());
    controller.nodes.subscribe(move |change| {
        tell_of_members(&recorder, change);
        let key = change.object().key.clone();
        let mut heard = heard.lock();
        match &change.new {
            None => _ = heard.remove(&key.name),
            Some(_) if !heard.contains_key(&key.name) || kubelet_spoke(change) => {
                heard.insert(key.name.clone(), Instant::now());
            }
            Some(_) => {}
        }
        drop(heard);
        changed.add(key);
    });
    let heard = controller.heard.clone();
    context.informer(&LEASES).subscribe(move |change| {
        let key = &change.object().key;
        if change.new.is_some() && key.namespace == namespace::KUBE_NODE_LEASE {
            heard.lock().insert(key.name.clone(), Instant::now());
        }
    });
    controller.nodes.synced().await;
    controller.pods.synced().await;
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

/// Tells of a node that has come, and of one that has gone. One that takes the place of another of its name is both.
fn tell_of_members(recorder: &Recorder, change: &Change) {
    let meta = |object: &Option<Object>| Some(object.as_ref()?.decode::<PartialObject>().ok()?.metadata);
    let (old, new) = (meta(&change.old), meta(&change.new));
    if old.as_ref().map(|meta| &meta.uid) == new.as_ref().map(|meta| &meta.uid) {
        return;
    }
    let tell = |meta: &Meta, reason: &str, what: &str| {
        let message = format!("Node {} event: {what}", meta.name);
        recorder.event(&reference(KIND, meta), EventType::Normal, reason, message);
    };
    if let Some(old) = old {
        tell(&old, "RemovingNode", &format!("Removing Node {} from Controller", old.name));
    }
    if let Some(new) = new {
        tell(&new, "RegisteredNode", &format!("Registered Node {} in Controller", new.name));
    }
}

/// The change is one that a kubelet makes: a condition's heartbeat.
fn kubelet_spoke(change: &Change) -> bool {
    let beats = |object: &Option<Object>| {
        let node = object.as_ref()?.decode::<Node>().ok()?;
        node.status.conditions.iter().filter_map(|condition| condition.last_heartbeat_time.clone()).max()
    };
    beats(&change.old) != beats(&change.new)
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(mut node) = self.nodes.read::<Node>(&key) else { return Ok(Outcome::Done) };
        if node.metadata.is_deleting() {
            return Ok(Outcome::Done);
        }
        let now = Instant::now();
        let heard = self.heard.lock().get(&key.name).copied().unwrap_or(now);
        let silent = now.duration_since(heard);
        if silent >= GRACE
            && let Some(conditions) = unknown_conditions(&node, self.clock.now())
        {
            tracing::warn!(node = key.name, "the node's kubelet has fallen silent");
            self.write_conditions(&node, &conditions).await?;
            let Some(fresh) = self.nodes.read::<Node>(&key) else { return Ok(Outcome::Done) };
            node = fresh;
        }
        if node.condition("Ready").is_some_and(|ready| ready != "True") {
            self.mark_pods_not_ready(&node).await?;
        }
        let taints = taints_of(&node, self.clock.now());
        if taints != node.spec.taints {
            let patch = json!({
                "metadata": {"uid": node.metadata.uid, "resourceVersion": node.metadata.resource_version},
                "spec": {"taints": taints},
            });
            let written = self.client.patch(&NODES, &key, OBJECT, &patch).await?;
            self.nodes.reached(written.revision).await;
        }
        Ok(Outcome::Again(if silent >= GRACE { GRACE } else { GRACE - silent }))
    }

    async fn write_conditions(&self, node: &Node, conditions: &[Condition]) -> Result<(), Status> {
        let was_ready = node.condition("Ready") == Some("True");
        let patch = json!({"status": {"conditions": conditions}});
        let written = self.client.patch(&NODES, &node.metadata.key(), STATUS, &patch).await?;
        self.nodes.reached(written.revision).await;
        if was_ready {
            let message = format!("Node {} status is now: NodeNotReady", node.metadata.name);
            self.recorder.event(&reference(KIND, &node.metadata), EventType::Normal, "NodeNotReady", message);
        }
        Ok(())
    }

    /// What runs on a node that is not ready gets no traffic.
    async fn mark_pods_not_ready(&self, node: &Node) -> Result<(), Status> {
        let here = on_node(&self.pods, &node.metadata.name).into_iter();
        for pod in here.filter(|pod| pod.is_ready() && !pod.has_ended()) {
            let now = self.clock.now_rfc3339();
            let not_ready = json!({"type": "Ready", "status": "False", "lastTransitionTime": now});
            set_condition(&self.client, &pod, json!({}), not_ready).await?;
            let about = reference(OwnerKind { api_version: "v1", kind: "Pod" }, &pod.metadata);
            self.recorder.event(&about, EventType::Warning, "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }
}

/// The node's conditions when nobody reports them any more; `None` when they say so already.
fn unknown_conditions(node: &Node, now: Timestamp) -> Option<Vec<Condition>> {
    let mut conditions = node.status.conditions.clone();
    for kind in CONDITIONS {
        let known = condition::find(&conditions, kind);
        if known.is_some_and(|known| known.status == UNKNOWN) {
            continue;
        }
        let (reason, message) = match known {
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        let heard = match known {
            Some(known) => known.last_heartbeat_time.clone(),
            None => node.metadata.creation_timestamp.clone(),
        };
        let unknown = Condition { last_heartbeat_time: heard, ..Condition::new(kind, UNKNOWN, reason, message) };
        condition::set(&mut conditions, unknown, now);
    }
    (conditions != node.status.conditions).then_some(conditions)
}

/// The taints that the node should have: those of others, and those that its conditions give.
fn taints_of(node: &Node, now: Timestamp) -> Vec<Taint> {
    let is = |kind: &str, status: &str| node.condition(kind) == Some(status);
    let not_ready = is("Ready", "False");
    let unheard = node.condition("Ready").is_none();
    let unreachable = is("Ready", "Unknown");
    let holds = |(key, effect): (&str, &str)| match (key, effect) {
        // A node that has not said anything yet gets no pods, but keeps those that it may have.
        (taint::NOT_READY, NO_SCHEDULE) => not_ready || unheard,
        (taint::NOT_READY, _) => not_ready,
        (taint::UNREACHABLE, _) => unreachable,
        (taint::MEMORY_PRESSURE, _) => is("MemoryPressure", "True"),
        (taint::DISK_PRESSURE, _) => is("DiskPressure", "True"),
        (taint::PID_PRESSURE, _) => is("PIDPressure", "True"),
        (taint::NETWORK_UNAVAILABLE, _) => is("NetworkUnavailable", "True"),
        _ => node.spec.unschedulable,
    };
    let mut taints: Vec<Taint> = node.spec.taints.clone();
    taints.retain(|taint| {
        MANAGED.iter().find(|(key, effect)| taint.is_same(key, effect)).is_none_or(|managed| holds(*managed))
    });
    for (key, effect) in MANAGED.into_iter().filter(|managed| holds(*managed)) {
        if !taints.iter().any(|taint| taint.is_same(key, effect)) {
            let time_added = Some(rfc3339(now));
            taints.push(Taint { key: key.to_owned(), value: String::new(), effect: effect.to_owned(), time_added });
        }
    }
    taints
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use windlass_api::time::parse_rfc3339;

    use super::*;

    fn node(conditions: &Value, spec: &Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}}))
            .unwrap()
    }

    fn now() -> Timestamp {
        parse_rfc3339("2026-11-21T06:00:00Z").unwrap()
    }

    fn keys(node: &Node) -> Vec<String> {
        taints_of(node, now()).iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect()
    }

    #[test]
    fn conditions_become_taints() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let own = json!({"taints": [{"key": "mine", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]});
        assert_eq!(keys(&node(&ready, &own)), ["mine:NoExecute"]);
        let pressure = json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]);
        assert_eq!(
            keys(&node(&pressure, &json!({"unschedulable": true}))),
            ["node.kubernetes.io/disk-pressure:NoSchedule", "node.kubernetes.io/unschedulable:NoSchedule"]
        );
        let silent = json!([{"type": "Ready", "status": "Unknown"}]);
        assert_eq!(
            keys(&node(&silent, &json!({}))),
            ["node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"]
        );
    }

    #[test]
    fn a_silent_kubelet() {
        let unknown =
            unknown_conditions(&node(&json!([{"type": "Ready", "status": "True"}]), &json!({})), now()).unwrap();
        assert_eq!(unknown.len(), 4);
        assert_eq!(unknown[0].reason, "NodeStatusUnknown");
        assert_eq!(unknown[1].reason, "NodeStatusNeverUpdated");
        assert_eq!(unknown_conditions(&node(&json!(unknown), &json!({})), now()), None);
    }
}
