//! A Deployment's status: its numbers, and the conditions Available, Progressing and ReplicaFailure in upstream's words.

use std::time::Duration;

use serde_json::{Value, json};
use windlass_api::time::{parse_rfc3339, rfc3339};
use windlass_api::{Condition, Timestamp, condition};

use super::view::{Deployment, DeploymentStatus, ReplicaSet};

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";
pub(super) const SET_AVAILABLE: &str = "NewReplicaSetAvailable";
pub(super) const SET_CREATED: &str = "NewReplicaSetCreated";
pub(super) const SET_FOUND: &str = "FoundNewReplicaSet";
pub(super) const SET_CREATE_ERROR: &str = "ReplicaSetCreateError";
const SET_UPDATED: &str = "ReplicaSetUpdated";

impl DeploymentStatus {
    /// A merge patch that makes any status this one.
    pub(super) fn to_patch(&self) -> Value {
        let mut patch = serde_json::to_value(self).unwrap_or_default();
        if self.conditions.is_empty() {
            patch["conditions"] = Value::Null;
        }
        // Absent is how zero is written.
        for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"] {
            if patch[field] == json!(0) {
                patch[field] = Value::Null;
            }
        }
        patch
    }
}

/// Every wanted pod is of the present template and available.
pub(super) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = deployment.replicas();
    status.updated_replicas == wanted
        && status.replicas == wanted
        && status.available_replicas == wanted
        && status.observed_generation >= deployment.metadata.generation
}

fn has_progressed(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    new.updated_replicas > old.updated_replicas
        || new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        || new.ready_replicas > old.ready_replicas
        || new.available_replicas > old.available_replicas
}

/// When the deadline for the next progress passes; `None` when none is running.
fn deadline(deployment: &Deployment, status: &DeploymentStatus) -> Option<Timestamp> {
    let seconds = deployment.progress_deadline()?;
    let progressing = condition::find(&status.conditions, PROGRESSING)?;
    if [SET_AVAILABLE, TIMED_OUT].contains(&progressing.reason.as_str()) {
        return None;
    }
    let updated = parse_rfc3339(progressing.last_update_time.as_deref()?)?;
    updated.checked_add(Duration::from_secs(seconds.unsigned_abs())).ok()
}

/// How long to wait for progress before looking whether it has been too long.
pub(super) fn until_deadline(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Option<Duration> {
    if deployment.spec.paused || is_complete(deployment, status) {
        return None;
    }
    let wait = deadline(deployment, status)?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default() + Duration::from_secs(1))
}

/// Replaces a condition, unless it says the same already. The time of transition is kept while the status stays.
pub(super) fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let old = condition::find(conditions.iter(), kind).cloned();
    if old.as_ref().is_some_and(|old| old.status == status && old.reason == reason) {
        return;
    }
    let updated = Some(rfc3339(now));
    let mut new = Condition { last_update_time: updated, ..Condition::new(kind, status, reason, message) };
    condition::stamp(&mut new, old.as_ref(), now);
    // Upstream moves what it changes to the end.
    remove(conditions, kind);
    conditions.push(new);
}

fn remove(conditions: &mut Vec<Condition>, kind: &str) {
    conditions.retain(|condition| condition.kind != kind);
}

/// Says in the condition Progressing that the new ReplicaSet was made, found, or could not be made.
pub(super) fn set_progressing(
    deployment: &Deployment,
    status: &str,
    reason: &str,
    message: String,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = deployment.status.conditions.clone();
    set(&mut conditions, PROGRESSING, status, reason, message, now);
    conditions
}

/// The conditions after a Deployment was paused or resumed, when they do not say so yet.
pub(super) fn of_pausing(deployment: &Deployment, now: Timestamp) -> Option<Vec<Condition>> {
    deployment.progress_deadline()?;
    let reason = deployment.condition(PROGRESSING).map(|condition| condition.reason.as_str());
    if reason == Some(TIMED_OUT) {
        return None;
    }
    let says_paused = reason == Some(PAUSED);
    let (reason, message) = match (deployment.spec.paused, says_paused) {
        (true, false) => (PAUSED, "Deployment is paused"),
        (false, true) => (RESUMED, "Deployment is resumed"),
        _ => return None,
    };
    Some(set_progressing(deployment, "Unknown", reason, message.to_owned(), now))
}

/// The status that the ReplicaSets give.
pub(super) fn status_of(
    deployment: &Deployment,
    new: Option<&ReplicaSet>,
    old: &[ReplicaSet],
    now: Timestamp,
) -> DeploymentStatus {
    let sum = |field: fn(&ReplicaSet) -> i64| old.iter().chain(new).map(field).sum::<i64>();
    let replicas = sum(|set| set.status.replicas);
    let available = sum(|set| set.status.available_replicas);
    let terminating: Option<i64> = old.iter().chain(new).map(|set| set.status.terminating_replicas).sum();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas,
        updated_replicas: new.map_or(0, |set| set.status.replicas),
        ready_replicas: sum(|set| set.status.ready_replicas),
        available_replicas: available,
        // Those that are wanted count, not those that are there: pods that cannot be created are unavailable.
        unavailable_replicas: (sum(ReplicaSet::replicas) - available).max(0),
        terminating_replicas: terminating,
        collision_count: deployment.status.collision_count,
        conditions: deployment.status.conditions.clone(),
    };
    let enough = available >= deployment.replicas() - deployment.max_unavailable();
    let (is, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut status.conditions, AVAILABLE, is, reason, message.to_owned(), now);
    if !deployment.spec.paused {
        progress(deployment, new, &mut status, now);
    }
    replica_failure(new, old, &mut status, now);
    status
}

fn progress(deployment: &Deployment, new: Option<&ReplicaSet>, status: &mut DeploymentStatus, now: Timestamp) {
    if deployment.progress_deadline().is_none() {
        remove(&mut status.conditions, PROGRESSING);
        return;
    }
    let was_complete = status.replicas == status.updated_replicas
        && deployment.condition(PROGRESSING).is_some_and(|condition| condition.reason == SET_AVAILABLE);
    if was_complete {
        return;
    }
    let subject = match new {
        Some(set) => format!("ReplicaSet {:?}", set.metadata.name),
        None => format!("Deployment {:?}", deployment.metadata.name),
    };
    let (is, reason, message) = if is_complete(deployment, status) {
        ("True", SET_AVAILABLE, format!("{subject} has successfully progressed."))
    } else if has_progressed(&deployment.status, status) {
        // Each progress starts the deadline anew, even if the last word was the same.
        if let Some(condition) = status.conditions.iter_mut().find(|condition| condition.kind == PROGRESSING) {
            condition.reason.clear();
        }
        ("True", SET_UPDATED, format!("{subject} is progressing."))
    } else if deadline(deployment, &deployment.status).is_some_and(|deadline| deadline < now) {
        ("False", TIMED_OUT, format!("{subject} has timed out progressing."))
    } else {
        return;
    };
    set(&mut status.conditions, PROGRESSING, is, reason, message, now);
}

/// A failure of the new ReplicaSet, or else of an old one, is the Deployment's.
fn replica_failure(new: Option<&ReplicaSet>, old: &[ReplicaSet], status: &mut DeploymentStatus, now: Timestamp) {
    let failure = new.into_iter().chain(old).find_map(|set| condition::find(&set.status.conditions, REPLICA_FAILURE));
    match failure {
        Some(failure) => {
            set(
                &mut status.conditions,
                REPLICA_FAILURE,
                &failure.status,
                &failure.reason,
                failure.message.clone(),
                now,
            );
        }
        None => remove(&mut status.conditions, REPLICA_FAILURE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        parse_rfc3339(text).unwrap()
    }

    fn deployment(status: &DeploymentStatus) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"name": "d", "generation": 1},
            "spec": {"replicas": 2, "progressDeadlineSeconds": 60,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}},
            "status": status,
        }))
        .unwrap()
    }

    fn set_of(replicas: i64, available: i64) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": "d-1"},
            "status": {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}}))
        .unwrap()
    }

    #[test]
    fn from_progress_to_completion() {
        let start = at("2026-11-21T06:00:00Z");
        let first = status_of(&deployment(&DeploymentStatus::default()), Some(&set_of(2, 0)), &[], start);
        let word = |status: &DeploymentStatus, kind: &str| {
            let condition = condition::find(&status.conditions, kind).unwrap().clone();
            (condition.status, condition.reason, condition.message)
        };
        assert_eq!(word(&first, "Available").1, "MinimumReplicasUnavailable");
        assert_eq!(word(&first, "Progressing").2, "ReplicaSet \"d-1\" is progressing.");
        let late = at("2026-11-21T06:02:00Z");
        let stuck = status_of(&deployment(&first), Some(&set_of(2, 0)), &[], late);
        assert_eq!(word(&stuck, "Progressing").1, "ProgressDeadlineExceeded");
        let done = status_of(&deployment(&stuck), Some(&set_of(2, 2)), &[], late);
        assert_eq!(word(&done, "Progressing").1, "NewReplicaSetAvailable");
        assert_eq!(word(&done, "Available").0, "True");
        assert_eq!(status_of(&deployment(&done), Some(&set_of(2, 2)), &[], late), done);
    }

    #[test]
    fn pods_that_cannot_be_created_are_unavailable() {
        let now = at("2026-11-21T06:00:00Z");
        let set = |wanted: i64, replicas: i64, available: i64| -> ReplicaSet {
            serde_json::from_value(json!({"metadata": {"name": "d-1"}, "spec": {"replicas": wanted},
                "status": {"replicas": replicas, "availableReplicas": available}}))
            .unwrap()
        };
        let unavailable = |new: ReplicaSet, old: &[ReplicaSet]| {
            let status = status_of(&deployment(&DeploymentStatus::default()), Some(&new), old, now);
            (status.replicas, status.unavailable_replicas)
        };
        assert_eq!(unavailable(set(1, 0, 0), &[]), (0, 1));
        assert_eq!(unavailable(set(2, 1, 0), &[set(1, 1, 1)]), (2, 2));
        assert_eq!(unavailable(set(0, 2, 2), &[]), (2, 0));
    }

    #[test]
    fn a_deadline_is_waited_for() {
        let start = at("2026-11-21T06:00:00Z");
        let status = status_of(&deployment(&DeploymentStatus::default()), Some(&set_of(2, 0)), &[], start);
        assert_eq!(until_deadline(&deployment(&status), &status, start), Some(Duration::from_secs(61)));
    }
}
