//! Pods as controllers see them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use windlass_api::condition::{self, AnyCondition};
use windlass_api::node_selector::NodeSelector;
use windlass_api::pod::typed::Texts;
use windlass_api::pod::{self, AnyContainer, Lists};
use windlass_api::resource::PODS;
use windlass_api::taint::Toleration;
use windlass_api::time::parse_rfc3339;
use windlass_api::{Condition, Meta, Status, Timestamp};
use windlass_client::{Client, Informer, PatchType, STATUS};

use crate::owners::Owned;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Pod {
    pub metadata: Meta,
    pub spec: PodSpec,
    pub status: PodStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub node_name: String,
    pub hostname: String,
    pub subdomain: String,
    pub host_network: bool,
    pub restart_policy: String,
    pub containers: Vec<Container>,
    pub init_containers: Vec<Container>,
    pub volumes: Vec<Volume>,
    pub tolerations: Vec<Toleration>,
    pub active_deadline_seconds: Option<i64>,
    pub affinity: Option<Box<Affinity>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume {
    pub name: String,
    pub persistent_volume_claim: Option<ClaimSource>,
    pub ephemeral: Option<serde::de::IgnoredAny>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimSource {
    pub claim_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub name: String,
    pub restart_policy: String,
    pub ports: Vec<ContainerPort>,
}

impl AnyContainer for Container {
    type List = Texts;

    fn name(&self) -> &str {
        &self.name
    }

    fn restart_policy(&self) -> &str {
        &self.restart_policy
    }

    /// Controllers read none.
    fn resources(&self) -> Lists<'_, Texts> {
        Lists { requests: None, limits: None }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerPort {
    pub name: String,
    pub container_port: i32,
    pub protocol: String,
}

/// Where a pod may be scheduled; only the part that must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Affinity {
    pub node_affinity: Option<NodeAffinity>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
}

impl Affinity {
    pub(crate) fn required(&self) -> Option<&NodeSelector> {
        self.node_affinity.as_ref()?.required.as_ref()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodStatus {
    pub phase: String,
    pub reason: String,
    pub start_time: Option<String>,
    pub conditions: Vec<Condition>,
    pub container_statuses: Vec<ContainerStatus>,
    pub init_container_statuses: Vec<ContainerStatus>,
    #[serde(rename = "podIP")]
    pub pod_ip: String,
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<PodIp>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct PodIp {
    pub ip: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ContainerStatus {
    pub name: String,
    pub restart_count: i64,
    pub state: ContainerState,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerState {
    pub terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Terminated {
    pub exit_code: i64,
    pub finished_at: Option<String>,
}

impl Owned for Pod {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Pod {
    pub(crate) fn condition(&self, kind: &str) -> Option<&Condition> {
        condition::find(&self.status.conditions, kind)
    }

    pub(crate) fn has_ended(&self) -> bool {
        windlass_api::pod::has_ended(&self.status.phase)
    }

    /// It counts towards a controller's replicas: it has neither ended nor is it going.
    pub(crate) fn is_active(&self) -> bool {
        !self.has_ended() && !self.metadata.is_deleting()
    }

    /// It is going but has not ended yet.
    pub(crate) fn is_terminating(&self) -> bool {
        !self.has_ended() && self.metadata.is_deleting()
    }

    pub(crate) fn is_ready(&self) -> bool {
        condition::is_true(&self.status.conditions, "Ready")
    }

    pub(crate) fn ready_since(&self) -> Option<Timestamp> {
        self.condition("Ready").filter(|ready| ready.is_true())?.since()
    }

    /// Seconds until it has been ready for long enough: `Some(0)` when it has, `None` while it is not ready.
    pub(crate) fn seconds_to_available(&self, min_ready_seconds: i64, now: Timestamp) -> Option<i64> {
        if !self.is_ready() {
            return None;
        }
        if min_ready_seconds == 0 {
            return Some(0);
        }
        let since = self.ready_since()?;
        Some((min_ready_seconds - now.duration_since(since).as_secs()).max(0))
    }

    pub(crate) fn is_available(&self, min_ready_seconds: i64, now: Timestamp) -> bool {
        self.seconds_to_available(min_ready_seconds, now) == Some(0)
    }

    pub(crate) fn created(&self) -> Option<Timestamp> {
        self.metadata.creation_timestamp.as_deref().and_then(parse_rfc3339)
    }

    fn restarts(&self) -> i64 {
        self.status.container_statuses.iter().map(|status| status.restart_count).max().unwrap_or(0)
    }
}

/// How long until the next of these pods has been ready for long enough.
pub(crate) fn until_available(pods: &[Pod], min_ready_seconds: i64, now: Timestamp) -> Option<Duration> {
    let waits = pods.iter().filter_map(|pod| pod.seconds_to_available(min_ready_seconds, now));
    waits.filter(|&seconds| seconds > 0).min().map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
}

const BY_NODE: &str = "node";

/// Makes [`on_node`] work; it may have been done already.
pub(crate) fn index_by_node(pods: &Informer) {
    pods.add_index(BY_NODE, |object| {
        object.decode::<Pod>().ok().map(|pod| pod.spec.node_name).filter(|node| !node.is_empty()).into_iter().collect()
    });
}

pub(crate) fn on_node(pods: &Informer, node: &str) -> Vec<Pod> {
    pods.by_index(BY_NODE, node).into_iter().filter_map(|object| object.decode().ok()).collect()
}

/// Writes one condition into a pod's status, and with it what else `status` has; nothing when the pod has gone.
pub(crate) async fn set_condition(
    client: &Client,
    pod: &Pod,
    mut status: Value,
    condition: Value,
) -> Result<(), Status> {
    status["conditions"] = json!([condition]);
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
    match client.patch_as(PatchType::Strategic, &PODS, &pod.metadata.key(), STATUS, &patch).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

/// The condition of a pod that goes for a reason which is not its own.
pub(crate) fn disruption_target(pod: &Pod, reason: &str, message: &str, now: Timestamp) -> Value {
    let mut condition = pod::disruption_target(reason, message, pod.metadata.generation);
    condition.set_transition(now);
    json!(condition)
}

/// An age for ranking: ages of the same order of magnitude count as equal, so that the choice among them is even.
fn magnitude(since: Option<Timestamp>, now: Timestamp) -> u32 {
    since.map_or(0, |since| {
        let seconds = now.duration_since(since).as_secs().max(0);
        u32::try_from(seconds).unwrap_or(u32::MAX).checked_ilog2().map_or(0, |log| log + 1)
    })
}

/// Sorts pods so that those which are best given up come first. `crowd` counts the related pods on a pod's node.
/// The order of upstream (`ActivePodsWithRanks`): unassigned, pending, not ready, cheap by annotation, crowded, lately ready, often
/// restarted, young.
pub(crate) fn sort_for_deletion(pods: &mut [Pod], crowd: impl Fn(&Pod) -> usize, now: Timestamp) {
    use std::cmp::Reverse;
    use windlass_api::well_known::annotation::POD_DELETION_COST;
    pods.sort_by_cached_key(|pod| {
        let phase = match pod.status.phase.as_str() {
            "Pending" => 0,
            "Unknown" => 1,
            _ => 2,
        };
        let cost: i64 = pod.metadata.annotations.get(POD_DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0);
        (
            !pod.spec.node_name.is_empty(),
            phase,
            pod.is_ready(),
            cost,
            Reverse(crowd(pod)),
            magnitude(pod.ready_since(), now),
            Reverse(pod.restarts()),
            magnitude(pod.created(), now),
            pod.metadata.uid.clone(),
        )
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, node: &str, phase: &str, ready: bool, annotations: serde_json::Value) -> Pod {
        let status = if ready { "True" } else { "False" };
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "annotations": annotations, "creationTimestamp": "2026-11-21T06:00:00Z"},
            "spec": {"nodeName": node},
            "status": {"phase": phase, "conditions": [
                {"type": "Ready", "status": status, "lastTransitionTime": "2026-11-21T06:00:10Z"}]},
        }))
        .unwrap()
    }

    #[test]
    fn whom_to_give_up_first() {
        let now = parse_rfc3339("2026-11-21T06:01:00Z").unwrap();
        let none = || json!({});
        let mut pods = vec![
            pod("ready", "n1", "Running", true, none()),
            pod("cheap", "n1", "Running", true, json!({"controller.kubernetes.io/pod-deletion-cost": "-5"})),
            pod("unready", "n1", "Running", false, none()),
            pod("pending", "n1", "Pending", false, none()),
            pod("unassigned", "", "Pending", false, none()),
            pod("crowded", "n2", "Running", true, none()),
        ];
        sort_for_deletion(&mut pods, |pod| usize::from(pod.spec.node_name == "n2"), now);
        let order: Vec<&str> = pods.iter().map(|pod| pod.metadata.name.as_str()).collect();
        assert_eq!(order, ["unassigned", "pending", "unready", "cheap", "crowded", "ready"]);
    }

    #[test]
    fn available_after_its_time() {
        let now = parse_rfc3339("2026-11-21T06:00:15Z").unwrap();
        let ready = pod("p", "n", "Running", true, json!({}));
        assert_eq!(ready.seconds_to_available(0, now), Some(0));
        assert_eq!(ready.seconds_to_available(5, now), Some(0));
        assert_eq!(ready.seconds_to_available(7, now), Some(2));
        assert_eq!(pod("p", "n", "Running", false, json!({})).seconds_to_available(0, now), None);
    }
}
