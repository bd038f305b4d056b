//! Jobs, and their pods, as the controller sees them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_api::labels::Selector;
use windlass_api::pod::is_sidecar;
use windlass_api::time::{parse_rfc3339, rfc3339};
use windlass_api::{Condition, Meta, Timestamp, condition};

use super::indexes::Indexes;
use crate::owners::Owned;
use crate::pods::Pod;

pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
pub(super) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
pub(super) const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
/// The value of `managedBy` that means this controller.
const MANAGER: &str = "kubernetes.io/job-controller";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Job {
    pub metadata: Meta,
    pub spec: Spec,
    pub status: JobStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Spec {
    pub parallelism: Option<i64>,
    pub completions: Option<i64>,
    pub completion_mode: String,
    pub backoff_limit: Option<i64>,
    pub backoff_limit_per_index: Option<i64>,
    pub max_failed_indexes: Option<i64>,
    pub active_deadline_seconds: Option<i64>,
    pub ttl_seconds_after_finished: Option<i64>,
    pub suspend: bool,
    pub managed_by: Option<String>,
    pub pod_replacement_policy: String,
    pub pod_failure_policy: Option<FailurePolicy>,
    pub success_policy: Option<SuccessPolicy>,
    pub selector: Value,
    pub template: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FailurePolicy {
    pub rules: Vec<FailureRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FailureRule {
    pub action: String,
    pub on_exit_codes: Option<OnExitCodes>,
    pub on_pod_conditions: Vec<OnPodCondition>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OnExitCodes {
    pub container_name: Option<String>,
    pub operator: String,
    pub values: Vec<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OnPodCondition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SuccessPolicy {
    pub rules: Vec<SuccessRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SuccessRule {
    pub succeeded_indexes: Option<String>,
    pub succeeded_count: Option<i64>,
}

/// What is written; a field that is `None` is removed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct JobStatus {
    pub conditions: Vec<Condition>,
    pub start_time: Option<String>,
    pub completion_time: Option<String>,
    pub active: i64,
    pub succeeded: i64,
    pub failed: i64,
    pub terminating: Option<i64>,
    pub ready: Option<i64>,
    pub completed_indexes: String,
    pub failed_indexes: Option<String>,
    pub uncounted_terminated_pods: Option<Uncounted>,
}

/// UIDs of pods that have ended and have still to be counted, so that a crash counts none twice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Uncounted {
    pub succeeded: Vec<String>,
    pub failed: Vec<String>,
}

/// A condition that was seen and became so now: a Job's conditions are never renewed, but replaced.
pub(super) fn condition_at(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> Condition {
    let now = Some(rfc3339(now));
    let times = Condition { last_probe_time: now.clone(), last_transition_time: now, ..Condition::default() };
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..times
    }
}

impl JobStatus {
    pub(super) fn holds(&self, kind: &str) -> Option<&Condition> {
        condition::find(&self.conditions, kind).filter(|condition| condition.is_true())
    }

    /// Sets a condition; one that does not hold is not added. Says whether anything changed.
    pub(super) fn set(&mut self, wanted: Condition) -> bool {
        match self.conditions.iter_mut().find(|condition| condition.kind == wanted.kind) {
            Some(present)
                if present.status == wanted.status
                    && present.reason == wanted.reason
                    && present.message == wanted.message =>
            {
                false
            }
            Some(present) => {
                *present = wanted;
                true
            }
            None if wanted.status == "False" => false,
            None => {
                self.conditions.push(wanted);
                true
            }
        }
    }

    pub(super) fn started(&self) -> Option<Timestamp> {
        self.start_time.as_deref().and_then(parse_rfc3339)
    }
}

impl Owned for Job {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Job {
    pub(super) fn selector(&self) -> Selector {
        crate::selector_of_structure(&self.spec.selector).unwrap_or_else(|_| Selector::nothing())
    }

    pub(crate) fn finished(&self) -> Option<&Condition> {
        self.status.holds("Complete").or_else(|| self.status.holds("Failed"))
    }

    pub(super) fn is_managed_elsewhere(&self) -> bool {
        self.spec.managed_by.as_deref().is_some_and(|manager| manager != MANAGER)
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.spec.completion_mode == "Indexed"
    }

    pub(super) fn completions(&self) -> i64 {
        self.spec.completions.unwrap_or(1)
    }

    pub(super) fn parallelism(&self) -> i64 {
        self.spec.parallelism.unwrap_or(1)
    }

    pub(super) fn backoff_limit(&self) -> i64 {
        self.spec.backoff_limit.unwrap_or(6)
    }

    /// Whether a pod that is going is replaced only when it has failed.
    pub(super) fn replaces_failed_only(&self) -> bool {
        match self.spec.pod_replacement_policy.as_str() {
            "" => self.spec.pod_failure_policy.is_some(),
            policy => policy == "Failed",
        }
    }

    pub(super) fn has_failed(&self, pod: &Pod) -> bool {
        let is_going = pod.metadata.is_deleting() && pod.status.phase != "Succeeded";
        pod.status.phase == "Failed" || (is_going && !self.replaces_failed_only())
    }

    /// The completion index of a pod, when it is one that the job has.
    pub(super) fn index_of(&self, pod: &Pod) -> Option<i64> {
        index_of(pod).filter(|index| *index < self.completions())
    }

    pub(super) fn indexes(&self, text: &str) -> Indexes {
        Indexes::parse(text, self.completions())
    }
}

pub(super) fn index_of(pod: &Pod) -> Option<i64> {
    pod.metadata.annotations.get(INDEX)?.parse().ok().filter(|index| *index >= 0)
}

pub(super) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// How often the index of a pod failed before: counted, and ignored by policy.
pub(super) fn failures_of(pod: &Pod) -> (i64, i64) {
    let count = |name: &str| {
        let count = pod.metadata.annotations.get(name).and_then(|count| count.parse::<i32>().ok());
        i64::from(count.unwrap_or(0).max(0))
    };
    (count(FAILURES), count(IGNORED_FAILURES))
}

/// When a pod ended, as well as can be known.
pub(super) fn finished_at(pod: &Pod) -> Option<Timestamp> {
    of_containers(pod).or_else(|| of_ready(pod)).or_else(|| of_deletion(pod)).or_else(|| pod.created())
}

/// When the last container ended, if all have. Init containers count only when they run beside the others.
fn of_containers(pod: &Pod) -> Option<Timestamp> {
    let of_sidecar = |name: &str| pod.spec.init_containers.iter().any(|init| init.name == name && is_sidecar(init));
    let sidecars = pod.status.init_container_statuses.iter().filter(|status| of_sidecar(&status.name));
    let ends = pod
        .status
        .container_statuses
        .iter()
        .chain(sidecars)
        .map(|status| status.state.terminated.as_ref()?.finished_at.as_deref().and_then(parse_rfc3339));
    ends.collect::<Option<Vec<Timestamp>>>()?.into_iter().max()
}

fn of_ready(pod: &Pod) -> Option<Timestamp> {
    let ready = pod.condition("Ready").filter(|ready| ready.status == "False")?;
    ready.since()
}

fn of_deletion(pod: &Pod) -> Option<Timestamp> {
    let at = pod.metadata.deletion_timestamp.as_deref().and_then(parse_rfc3339)?;
    let grace = std::time::Duration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0).unsigned_abs());
    at.checked_sub(grace).ok()
}
