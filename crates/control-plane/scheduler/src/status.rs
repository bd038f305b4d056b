//! What the scheduler writes into the status of pods: conditions and nominations.

use serde_json::{Map, Value, json};
use windlass_api::condition::{self, AnyCondition, Condition, FALSE};
use windlass_api::pod::disruption_target;
use windlass_api::resource::PODS;
use windlass_api::{ObjectKey, Status, Timestamp};
use windlass_client::{Client, DeleteOptions, PatchType, STATUS};

use crate::object::Pod;

/// A pod's status is to change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatusPatch {
    pub key: ObjectKey,
    patch: Value,
}

impl StatusPatch {
    /// Says that the pod waits, and where it is nominated. `None` when the status says so already.
    pub(crate) fn waiting(
        pod: &Pod,
        reason: &str,
        message: &str,
        nominate: Option<&str>,
        now: Timestamp,
    ) -> Option<Self> {
        let wishes = pod.wishes();
        let mut status = Map::new();
        let mut scheduled = Condition::new("PodScheduled", FALSE, reason, message);
        scheduled.observed_generation = Some(pod.generation).filter(|generation| *generation != 0);
        let mut conditions: Vec<Condition> = wishes.condition.iter().cloned().collect();
        if condition::set(&mut conditions, scheduled, now) {
            status.insert("conditions".to_owned(), json!(conditions));
        }
        if let Some(node) = nominate.filter(|node| *node != wishes.nominated_node) {
            let node = if node.is_empty() { Value::Null } else { json!(node) };
            status.insert("nominatedNodeName".to_owned(), node);
        }
        (!status.is_empty()).then(|| Self::new(pod, Value::Object(status)))
    }

    /// Takes a nomination back.
    pub(crate) fn not_nominated(pod: &Pod) -> Self {
        Self::new(pod, json!({"nominatedNodeName": null}))
    }

    fn new(pod: &Pod, status: Value) -> Self {
        // The UID makes the patch fail when the name belongs to another pod by now.
        Self { key: pod.key.clone(), patch: json!({"metadata": {"uid": pod.uid}, "status": status}) }
    }

    pub(crate) async fn write(self, client: &Client) -> Result<(), Status> {
        match client.patch_as(PatchType::Strategic, &PODS, &self.key, STATUS, &self.patch).await {
            Err(status) if status.says_gone() => Ok(()),
            result => result.map(drop),
        }
    }
}

/// Sends a pod away to make room for another; `None` when it has gone already, else the revision at which it is going.
pub(crate) async fn preempt(
    client: &Client,
    victim: &Pod,
    profile: &str,
    now: Timestamp,
) -> Result<Option<u64>, Status> {
    let message = format!("{profile}: preempting to accommodate a higher priority pod");
    let mut condition = disruption_target("PreemptionByScheduler", &message, victim.generation);
    condition.set_transition(now);
    let marked = StatusPatch::new(victim, json!({"conditions": [condition]}));
    match client.patch_as(PatchType::Strategic, &PODS, &marked.key, STATUS, &marked.patch).await {
        Err(status) if status.says_gone() => return Ok(None),
        result => drop(result?),
    }
    match client.delete(&PODS, &victim.key, &DeleteOptions::of_uid(victim.uid.as_str())).await {
        Err(status) if status.says_gone() => Ok(None),
        result => result.map(|victim| Some(victim.revision)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::pod::tests::pod;

    #[test]
    fn only_what_is_new_is_written() {
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "m", "observedGeneration": 2,
            "lastProbeTime": null, "lastTransitionTime": "2026-11-21T06:00:00Z"});
        let of = |conditions: Value, nominated: &str| {
            pod(json!({
                "metadata": {"name": "p", "uid": "u", "generation": 2},
                "status": {"conditions": conditions, "nominatedNodeName": nominated},
            }))
        };
        let known = of(json!([condition]), "n");
        let now = "2026-11-21T07:00:00Z".parse().unwrap();
        let patch = |pod: &Pod, message: &str, nominate: Option<&str>| {
            StatusPatch::waiting(pod, "Unschedulable", message, nominate, now).map(|p| p.patch["status"].clone())
        };
        assert_eq!(patch(&known, "m", None), None);
        assert_eq!(patch(&known, "m", Some("n")), None);
        assert_eq!(patch(&known, "m", Some("")), Some(json!({"nominatedNodeName": null})));
        let other = patch(&known, "other", None).unwrap();
        assert_eq!(other["conditions"][0]["message"], "other");
        assert_eq!(other["conditions"][0]["lastTransitionTime"], "2026-11-21T06:00:00Z");
        let first = patch(&of(json!([]), ""), "m", Some("")).unwrap();
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "2026-11-21T07:00:00Z");
        assert_eq!(first["conditions"][0]["observedGeneration"], 2);
        assert!(first.get("nominatedNodeName").is_none());
    }
}
