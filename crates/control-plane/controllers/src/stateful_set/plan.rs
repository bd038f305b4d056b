//! What the next step of a StatefulSet is. Pure functions.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/>.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windlass_api::Timestamp;
use windlass_api::well_known::label::CONTROLLER_REVISION_HASH;

use super::view::{StatefulSet, ordinal_of};
use crate::pods::Pod;

/// The names of the revision that the set comes from and of the one that it goes to.
pub(super) struct Revisions<'a> {
    pub current: &'a str,
    pub update: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create { ordinal: i64, revision: String },
    Delete { pod: String },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub actions: Vec<Action>,
}

pub(super) fn revision_of(pod: &Pod) -> &str {
    pod.metadata.labels.get(CONTROLLER_REVISION_HASH).map_or("", String::as_str)
}

/// Which revision a pod that is missing gets: the old one below the partition, or as long as the rollout has not come to it.
fn revision_for<'a>(set: &StatefulSet, revisions: &Revisions<'a>, ordinal: i64) -> &'a str {
    let stays = set.spec.ordinals.start + set.partition().unwrap_or(set.status.current_replicas);
    let of_current =
        set.rolls() && ordinal < stays && (set.partition().is_some() || revisions.current != revisions.update);
    if of_current { revisions.current } else { revisions.update }
}

/// Decides the next step: pods that are missing or have ended come first, then those that are too many, then those that are of
/// another revision. A set that is not parallel does one thing at a time and waits until it has worked.
pub(super) fn plan(set: &StatefulSet, revisions: &Revisions<'_>, pods: &[Pod], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let by_ordinal: BTreeMap<i64, &Pod> =
        pods.iter().filter_map(|pod| Some((ordinal_of(&set.metadata.name, &pod.metadata.name)?, pod))).collect();
    let is_healthy = |pod: &Pod| {
        pod.is_active() && pod.status.phase == "Running" && pod.is_available(set.spec.min_ready_seconds, now)
    };
    let delete = |pod: &Pod| Action::Delete { pod: pod.metadata.name.clone() };
    for ordinal in set.ordinals() {
        let act = match by_ordinal.get(&ordinal) {
            None => {
                let revision = revision_for(set, revisions, ordinal).to_owned();
                Some(Action::Create { ordinal, revision })
            }
            Some(pod) if pod.has_ended() && !pod.metadata.is_deleting() => Some(delete(pod)),
            Some(pod) if is_healthy(pod) => continue,
            Some(_) => None,
        };
        plan.actions.extend(act);
        if !set.is_parallel() {
            return plan;
        }
    }
    let condemned = by_ordinal.iter().rev().filter(|(ordinal, _)| !set.ordinals().contains(ordinal));
    let condemned: Vec<&Pod> = condemned.map(|(_, pod)| *pod).collect();
    if !condemned.is_empty() {
        if set.is_parallel() {
            plan.actions.extend(condemned.iter().filter(|pod| !pod.metadata.is_deleting()).map(|pod| delete(pod)));
        } else if let Some(pod) = condemned.first().filter(|pod| !pod.metadata.is_deleting()) {
            // The first that is not healthy may go first; the others wait for it.
            let unhealthy = condemned.iter().rfind(|pod| !is_healthy(pod));
            if unhealthy.is_none_or(|other| other.metadata.uid == pod.metadata.uid) {
                plan.actions.push(delete(pod));
            }
        }
        if !set.is_parallel() {
            return plan;
        }
    }
    if !plan.actions.is_empty() || !set.rolls() {
        return plan;
    }
    let from = set.spec.ordinals.start + set.partition().unwrap_or(0);
    for ordinal in set.ordinals().rev().filter(|&ordinal| ordinal >= from) {
        let Some(pod) = by_ordinal.get(&ordinal) else { return plan };
        if revision_of(pod) != revisions.update && !pod.metadata.is_deleting() {
            plan.actions.push(delete(pod));
            return plan;
        }
        if !is_healthy(pod) {
            return plan;
        }
    }
    plan
}

/// The status that the set's pods give it, as a merge patch.
pub(super) fn status_of(set: &StatefulSet, revisions: &Revisions<'_>, pods: &[Pod], now: Timestamp) -> Value {
    let count = |keep: &dyn Fn(&&Pod) -> bool| pods.iter().filter(|pod| keep(pod)).count();
    let is_of = |pod: &Pod, revision: &str| !pod.metadata.is_deleting() && revision_of(pod) == revision;
    let updated = count(&|pod| is_of(pod, revisions.update));
    let ready = count(&|pod| pod.status.phase == "Running" && pod.is_ready());
    let wanted = usize::try_from(set.replicas()).unwrap_or(0);
    let mut current_revision = revisions.current;
    let mut current = count(&|pod| is_of(pod, revisions.current));
    // When the last pod has been rolled over, the new revision is the current one.
    if set.rolls() && updated == wanted && ready == wanted && pods.len() == wanted {
        (current_revision, current) = (revisions.update, updated);
    }
    json!({
        "observedGeneration": set.metadata.generation,
        "replicas": pods.len(),
        "readyReplicas": ready,
        "availableReplicas": count(&|pod| {
            pod.status.phase == "Running" && pod.is_available(set.spec.min_ready_seconds, now)
        }),
        "currentReplicas": current,
        "updatedReplicas": updated,
        "currentRevision": current_revision,
        "updateRevision": revisions.update,
        "collisionCount": set.status.collision_count.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use windlass_api::time::parse_rfc3339;

    use super::*;

    const REVISIONS: Revisions<'static> = Revisions { current: "web-old", update: "web-new" };

    fn set(replicas: i64, extra: &Value) -> StatefulSet {
        let mut set =
            json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas}, "status": {"currentReplicas": 2}});
        for (name, value) in extra.as_object().unwrap() {
            set["spec"][name] = value.clone();
        }
        serde_json::from_value(set).unwrap()
    }

    fn pod(ordinal: i64, revision: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": format!("web-{ordinal}"), "uid": ordinal.to_string(), "labels": {CONTROLLER_REVISION_HASH: revision}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}}))
        .unwrap()
    }

    fn step(set: &StatefulSet, pods: &[Pod]) -> Vec<String> {
        let plan = plan(set, &REVISIONS, pods, parse_rfc3339("2026-11-21T06:00:00Z").unwrap());
        let name = |action: &Action| match action {
            Action::Create { ordinal, revision } => format!("+{ordinal} {revision}"),
            Action::Delete { pod } => format!("-{pod}"),
        };
        plan.actions.iter().map(name).collect()
    }

    #[test]
    fn one_after_the_other() {
        let ordered = set(3, &json!({}));
        assert_eq!(step(&ordered, &[]), ["+0 web-old"]);
        assert_eq!(step(&ordered, &[pod(0, "web-old", false)]), Vec::<String>::new());
        assert_eq!(step(&ordered, &[pod(0, "web-old", true)]), ["+1 web-old"]);
        assert_eq!(step(&ordered, &[pod(0, "web-old", true), pod(1, "web-old", true)]), ["+2 web-new"]);
        assert_eq!(step(&set(3, &json!({"podManagementPolicy": "Parallel"})), &[]).len(), 3);
        assert_eq!(step(&set(2, &json!({"ordinals": {"start": 5}})), &[]), ["+5 web-old"]);
    }

    #[test]
    fn from_the_last_to_the_first() {
        let pods: Vec<Pod> = (0..3).map(|ordinal| pod(ordinal, "web-new", true)).collect();
        assert_eq!(step(&set(1, &json!({})), &pods), ["-web-2"]);
        let old: Vec<Pod> = (0..3).map(|ordinal| pod(ordinal, "web-old", true)).collect();
        assert_eq!(step(&set(3, &json!({})), &old), ["-web-2"]);
        let partition = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        let half = [pod(0, "web-old", true), pod(1, "web-old", true), pod(2, "web-new", true)];
        assert_eq!(step(&set(3, &partition), &half), Vec::<String>::new());
        assert_eq!(step(&set(3, &json!({})), &half), ["-web-1"]);
        let waiting = [pod(0, "web-old", true), pod(1, "web-old", true), pod(2, "web-new", false)];
        assert_eq!(step(&set(3, &json!({})), &waiting), Vec::<String>::new());
        assert_eq!(step(&set(3, &json!({"updateStrategy": {"type": "OnDelete"}})), &old), Vec::<String>::new());
    }

    #[test]
    fn the_last_pod_completes_a_rollout() {
        let pods: Vec<Pod> = (0..2).map(|ordinal| pod(ordinal, "web-new", true)).collect();
        let now = parse_rfc3339("2026-11-21T06:00:00Z").unwrap();
        let status = status_of(&set(2, &json!({})), &REVISIONS, &pods, now);
        assert_eq!((&status["currentRevision"], &status["currentReplicas"]), (&json!("web-new"), &json!(2)));
        let status = status_of(&set(3, &json!({})), &REVISIONS, &pods, now);
        assert_eq!((&status["currentRevision"], &status["updatedReplicas"]), (&json!("web-old"), &json!(2)));
    }
}
