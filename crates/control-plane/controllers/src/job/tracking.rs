//! How a Job counts its pods exactly once. Pure functions.
//!
//! Each pod has a finalizer. One that has ended is first named in the status as not yet counted, then loses its finalizer, then is
//! counted and its name removed. Whatever crashes in between, the next one sees how far it came.

use std::collections::HashSet;

use windlass_api::time::rfc3339;
use windlass_api::{Condition, Timestamp};

use super::plan::Observed;
use super::policy::Failure;
use super::view::{Job, JobStatus, condition_at, is_tracked};
use crate::pods::Pod;

/// Names in the status at most, so that it does not grow without bound.
const UNCOUNTED_MAX: usize = 500;

/// What is to be written before finalizers are removed.
pub(super) struct Tracking<'a> {
    pub status: JobStatus,
    pub untrack: Vec<&'a Pod>,
    /// The last condition, once all pods have been counted.
    pub last: Option<Condition>,
    pub is_full: bool,
}

pub(super) enum Event {
    Suspended,
    Resumed,
}

/// Counts the pods that have lost their finalizers.
pub(super) fn count(status: &mut JobStatus, pods: &[Pod]) {
    let tracked: HashSet<&String> = pods.iter().filter(|pod| is_tracked(pod)).map(|pod| &pod.metadata.uid).collect();
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    let settle = |uids: &mut Vec<String>| {
        let before = uids.len();
        uids.retain(|uid| tracked.contains(uid));
        i64::try_from(before - uids.len()).unwrap_or(0)
    };
    status.succeeded += settle(&mut uncounted.succeeded);
    status.failed += settle(&mut uncounted.failed);
}

impl<'a> Observed<'a> {
    /// The status that the job has with these pods, and the pods that need not be tracked any longer.
    pub(super) fn track(&self) -> (Tracking<'a>, Option<Event>) {
        let finished = self.finished();
        let mut status = self.job.status.clone();
        let mut event = None;
        if status.start_time.is_none() && !self.job.spec.suspend {
            status.start_time = Some(rfc3339(self.now));
        }
        if finished.is_none() && self.verdict().is_none() && !self.job.metadata.is_deleting() {
            event = self.suspend(&mut status);
        }
        status.active = i64::try_from(self.active.len()).unwrap_or(i64::MAX);
        status.ready = Some(self.active.iter().map(|pod| i64::from(pod.is_ready())).sum());
        status.terminating = Some(self.terminating);
        count(&mut status, self.pods);
        let mut tracking = Tracking { status, untrack: Vec::new(), last: None, is_full: false };
        let new_indexes = self.gather(&mut tracking, finished.as_ref());
        if self.job.is_indexed() {
            let all = self.known_indexes.with_each(new_indexes);
            tracking.status.succeeded = all.total();
            tracking.status.completed_indexes = all.to_string();
            tracking.status.failed_indexes = self.failed_indexes.as_ref().map(ToString::to_string);
        }
        tracking.last = finished.map(|verdict| conclude(&mut tracking.status, verdict, self.now));
        (tracking, event)
    }

    fn suspend(&self, status: &mut JobStatus) -> Option<Event> {
        let condition =
            |status: &str, reason: &str, message: &str| condition_at("Suspended", status, reason, message, self.now);
        if self.job.spec.suspend {
            let is_new = status.set(condition("True", "JobSuspended", "Job suspended"));
            if is_new {
                status.start_time = None;
            }
            return is_new.then_some(Event::Suspended);
        }
        let is_new = status.set(condition("False", "JobResumed", "Job resumed"));
        if is_new {
            // A deadline counts from when the job goes on.
            status.start_time = Some(rfc3339(self.now));
        }
        is_new.then_some(Event::Resumed)
    }

    /// Names the pods that have ended, and says which indexes have succeeded.
    fn gather(&self, tracking: &mut Tracking<'a>, finished: Option<&Condition>) -> Vec<i64> {
        let mut new_indexes = Vec::new();
        let uncounted = tracking.status.uncounted_terminated_pods.get_or_insert_default();
        let known: HashSet<String> = uncounted.succeeded.iter().chain(&uncounted.failed).cloned().collect();
        let is_failing = finished.is_some_and(|verdict| verdict.kind != "SuccessCriteriaMet");
        for pod in self.pods.iter().filter(|pod| is_tracked(pod)) {
            if finished.is_none() && !self.may_untrack(pod) {
                continue;
            }
            tracking.untrack.push(pod);
            let uid = &pod.metadata.uid;
            let index = self.job.index_of(pod);
            let is_valid = !self.job.is_indexed() || index.is_some();
            if known.contains(uid) {
                continue;
            }
            if pod.status.phase == "Succeeded" {
                match index.filter(|_| self.job.is_indexed()) {
                    Some(index) => new_indexes.push(index),
                    None if self.job.is_indexed() => {}
                    None => uncounted.succeeded.push(uid.clone()),
                }
            } else if (is_failing || self.job.has_failed(pod)) && is_valid && Failure::of(self.job, pod).counts() {
                uncounted.failed.push(uid.clone());
            }
            if new_indexes.len() + uncounted.succeeded.len() + uncounted.failed.len() >= UNCOUNTED_MAX {
                tracking.is_full = true;
                break;
            }
        }
        new_indexes
    }

    fn may_untrack(&self, pod: &Pod) -> bool {
        let is_delayed = || self.delayed.values().any(|delayed| delayed.metadata.uid == pod.metadata.uid);
        self.job.metadata.is_deleting()
            || pod.status.phase == "Succeeded"
            || (self.job.has_failed(pod) && !is_delayed())
    }
}

/// Writes the verdict down, and gives the condition that follows when everything has been counted.
fn conclude(status: &mut JobStatus, verdict: Condition, now: Timestamp) -> Condition {
    let last = match verdict.kind.as_str() {
        "SuccessCriteriaMet" => "Complete",
        _ => "Failed",
    };
    let last = condition_at(last, "True", &verdict.reason, &verdict.message, now);
    if verdict.kind != "Failed" && status.holds(&verdict.kind).is_none() {
        status.set(verdict);
    }
    last
}

/// Ends the job, if nothing is left to wait for. Says whether it has ended.
pub(super) fn finish(job: &Job, status: &mut JobStatus, last: &Condition) -> bool {
    let uncounted = status.uncounted_terminated_pods.get_or_insert_default();
    let waits = !uncounted.succeeded.is_empty() || !uncounted.failed.is_empty() || status.terminating.unwrap_or(0) > 0;
    if waits || job.finished().is_some() {
        return false;
    }
    if last.kind == "Complete" {
        status.completion_time.clone_from(&last.last_transition_time);
    }
    status.set(last.clone());
    true
}
