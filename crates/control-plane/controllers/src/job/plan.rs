//! What the next step of a Job is: which pods to start and to give up, and whether it has ended. Pure functions.
//!
//! The order of the questions is upstream's: a verdict that has been written stands; then come failures, then successes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use windlass_api::{Condition, Meta, Timestamp};

use super::backoff::{self, Backoff};
use super::indexes::Indexes;
use super::policy::Failure;
use super::view::{Job, condition_at, failures_of, finished_at, index_of, is_tracked};
use crate::pods::{Pod, sort_for_deletion};

/// Pods that one step creates or deletes at most.
const BURST: usize = 500;

/// What is seen of a job.
pub(super) struct Observed<'a> {
    pub job: &'a Job,
    pub pods: &'a [Pod],
    pub active: Vec<&'a Pod>,
    pub terminating: i64,
    pub succeeded: i64,
    pub failed: i64,
    /// Those that are in the status already, and with those that are new.
    pub known_indexes: Indexes,
    pub succeeded_indexes: Indexes,
    pub failed_indexes: Option<Indexes>,
    /// Failed pods that stay until another has taken over their count of failures.
    pub delayed: BTreeMap<i64, &'a Pod>,
    pub backoff: Backoff,
    pub now: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Pods that end with their job; they are counted.
    pub end: Vec<Meta>,
    /// Pods that are too many; they are not counted.
    pub remove: Vec<Meta>,
    pub create: Vec<NewPod>,
    /// When to look again.
    pub wait: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NewPod {
    pub index: Option<i64>,
    /// How often the index failed: counted, and ignored by policy.
    pub failures: Option<(i64, i64)>,
}

fn count<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

impl<'a> Observed<'a> {
    pub(super) fn new(job: &'a Job, pods: &'a [Pod], backoff: Backoff, now: Timestamp) -> Self {
        let uncounted = job.status.uncounted_terminated_pods.clone().unwrap_or_default();
        let pending = |counted: &[String]| -> Vec<&Pod> {
            let counted: HashSet<&String> = counted.iter().collect();
            let is_valid = |pod: &&Pod| !job.is_indexed() || job.index_of(pod).is_some();
            let tracked = pods.iter().filter(|pod| is_tracked(pod) && !counted.contains(&pod.metadata.uid));
            tracked.filter(is_valid).collect()
        };
        let mut succeeded = pending(&uncounted.succeeded);
        succeeded.retain(|pod| pod.status.phase == "Succeeded");
        let mut failed = pending(&uncounted.failed);
        failed.retain(|pod| job.has_failed(pod));
        let counted_failures = failed.iter().filter(|pod| Failure::of(job, pod).counts()).count();
        let active: Vec<&Pod> = pods.iter().filter(|pod| pod.is_active()).collect();
        let mut observed = Self {
            job,
            pods,
            active,
            terminating: count(&pods.iter().filter(|pod| pod.is_terminating()).collect::<Vec<_>>()),
            succeeded: job.status.succeeded + count(&succeeded) + count(&uncounted.succeeded),
            failed: job.status.failed + i64::try_from(counted_failures).unwrap_or(0) + count(&uncounted.failed),
            known_indexes: Indexes::default(),
            succeeded_indexes: Indexes::default(),
            failed_indexes: None,
            delayed: BTreeMap::new(),
            backoff: backoff.after(&succeeded, &failed),
            now,
        };
        if job.is_indexed() {
            observed.read_indexes();
        }
        observed
    }

    fn read_indexes(&mut self) {
        let job = self.job;
        self.known_indexes = job.indexes(&job.status.completed_indexes);
        let tracked: Vec<(i64, &Pod)> =
            self.pods.iter().filter(|pod| is_tracked(pod)).filter_map(|pod| Some((job.index_of(pod)?, pod))).collect();
        let succeeded = tracked.iter().filter(|(_, pod)| pod.status.phase == "Succeeded").map(|(index, _)| *index);
        self.succeeded_indexes = self.known_indexes.with_each(succeeded);
        self.succeeded = self.succeeded_indexes.total();
        let Some(limit) = job.spec.backoff_limit_per_index else { return };
        let fails = |pod: &Pod| match (job.has_failed(pod), Failure::of(job, pod)) {
            (false, _) | (true, Failure::Ignore) => false,
            (true, Failure::FailIndex) => true,
            (true, Failure::Count | Failure::FailJob(_)) => failures_of(pod).0 >= limit,
        };
        let failed = tracked.iter().filter(|(_, pod)| fails(pod)).map(|(index, _)| *index);
        let known = job.indexes(job.status.failed_indexes.as_deref().unwrap_or_default());
        let failed = known.with_each(failed);
        let settled =
            self.succeeded_indexes.union(&failed).with_each(self.active.iter().filter_map(|pod| index_of(pod)));
        let order = |pod: &Pod| (failures_of(pod).0 + failures_of(pod).1, finished_at(pod));
        for (index, pod) in tracked.into_iter().filter(|(index, pod)| job.has_failed(pod) && !settled.has(*index)) {
            match self.delayed.get(&index) {
                Some(other) if order(other) > order(pod) => {}
                _ => drop(self.delayed.insert(index, pod)),
            }
        }
        self.failed_indexes = Some(failed);
    }

    fn condition(&self, kind: &str, reason: &str, message: &str) -> Option<Condition> {
        Some(condition_at(kind, "True", reason, message, self.now))
    }

    fn failing(&self, reason: &str, message: &str) -> Option<Condition> {
        self.condition("FailureTarget", reason, message)
    }

    /// The verdict, if there is one, whatever the pods that are still active: `SuccessCriteriaMet`, `FailureTarget`, or `Failed` when
    /// `FailureTarget` has been written before.
    pub(super) fn verdict(&self) -> Option<Condition> {
        let status = &self.job.status;
        if let Some(met) = status.holds("SuccessCriteriaMet") {
            return Some(met.clone());
        }
        if let Some(target) = status.holds("FailureTarget") {
            return self.condition("Failed", &target.reason, &target.message);
        }
        self.failed_by_policy().or_else(|| self.failed_by_limits()).or_else(|| self.decided_by_indexes())
    }

    fn failed_by_policy(&self) -> Option<Condition> {
        self.job.spec.pod_failure_policy.as_ref()?;
        let failed = self.pods.iter().filter(|pod| self.job.has_failed(pod));
        let message = failed.filter_map(|pod| match Failure::of(self.job, pod) {
            Failure::FailJob(message) => Some(message),
            _ => None,
        });
        self.failing("PodFailurePolicy", &message.into_iter().next()?)
    }

    fn failed_by_limits(&self) -> Option<Condition> {
        if self.failed > self.job.backoff_limit() || self.restarted_too_often() {
            return self.failing("BackoffLimitExceeded", "Job has reached the specified backoff limit");
        }
        if self.time_left().is_some_and(|left| left.is_zero()) {
            return self.failing("DeadlineExceeded", "Job was active longer than specified deadline");
        }
        None
    }

    /// With `restartPolicy: OnFailure` the kubelet restarts containers; these restarts count.
    fn restarted_too_often(&self) -> bool {
        if self.job.spec.template["spec"]["restartPolicy"] != "OnFailure" {
            return false;
        }
        let running = self.pods.iter().filter(|pod| matches!(pod.status.phase.as_str(), "Running" | "Pending"));
        let statuses =
            running.flat_map(|pod| pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses));
        let restarts: i64 = statuses.map(|status| status.restart_count).sum();
        restarts >= self.job.backoff_limit().max(1)
    }

    /// What is left of `activeDeadlineSeconds`. A job that is suspended has no deadline.
    fn time_left(&self) -> Option<Duration> {
        let deadline = self.job.spec.active_deadline_seconds.filter(|_| !self.job.spec.suspend)?;
        let started = self.job.status.started().unwrap_or(self.now);
        let elapsed = Duration::try_from(self.now.duration_since(started)).unwrap_or_default();
        Some(Duration::from_secs(deadline.unsigned_abs()).saturating_sub(elapsed))
    }

    fn decided_by_indexes(&self) -> Option<Condition> {
        if !self.job.is_indexed() {
            return None;
        }
        let failed = self.failed_indexes.as_ref().map_or(0, Indexes::total);
        if self.job.spec.max_failed_indexes.is_some_and(|max| self.failed_indexes.is_some() && failed > max) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return self.failing("MaxFailedIndexesExceeded", message);
        }
        if failed > 0 && failed + self.succeeded_indexes.total() >= self.job.completions() {
            return self.failing("FailedIndexes", "Job has failed indexes");
        }
        let policy = self.job.spec.success_policy.as_ref()?;
        let message = policy.met(&self.succeeded_indexes, self.job.completions())?;
        self.condition("SuccessCriteriaMet", "SuccessPolicy", &message)
    }

    /// The verdict when no pod is active any more.
    pub(super) fn finished(&self) -> Option<Condition> {
        if !self.active.is_empty() {
            return None;
        }
        let is_complete = match self.job.spec.completions {
            None => self.succeeded > 0,
            Some(completions) => self.succeeded >= completions,
        };
        let complete = || {
            let message = "Reached expected number of succeeded pods";
            self.condition("SuccessCriteriaMet", "CompletionsReached", message).filter(|_| is_complete)
        };
        self.verdict().or_else(complete)
    }

    pub(super) fn plan(&self) -> Plan {
        if self.verdict().is_some() {
            return Plan { end: self.active.iter().map(|pod| pod.metadata.clone()).collect(), ..Plan::default() };
        }
        let mut plan = if self.job.metadata.is_deleting() { Plan::default() } else { self.manage() };
        plan.wait = plan.wait.into_iter().chain(self.time_left()).min();
        plan
    }

    fn manage(&self) -> Plan {
        let active = count(&self.active);
        let wanted = match self.job.spec.completions {
            _ if self.job.spec.suspend => 0,
            None if self.succeeded > 0 => active,
            None => self.job.parallelism(),
            Some(completions) => (completions - self.succeeded).min(self.job.parallelism()).max(0),
        };
        let remove = self.surplus(usize::try_from(active - wanted).unwrap_or(0));
        if !remove.is_empty() || self.job.spec.suspend {
            return Plan { remove, ..Plan::default() };
        }
        let going = if self.job.replaces_failed_only() { self.terminating } else { 0 };
        let missing = usize::try_from(wanted - active - going).unwrap_or(0).min(BURST);
        if missing == 0 {
            return Plan::default();
        }
        if self.job.spec.backoff_limit_per_index.is_some() && self.job.is_indexed() {
            return self.create_each(&self.missing_indexes(missing));
        }
        let pause = self.backoff.remaining(self.now);
        if !pause.is_zero() {
            return Plan { wait: Some(pause), ..Plan::default() };
        }
        let create = if self.job.is_indexed() {
            let indexes = self.missing_indexes(missing).into_iter();
            indexes.map(|index| NewPod { index: Some(index), failures: None }).collect()
        } else {
            vec![NewPod::default(); missing]
        };
        Plan { create, ..Plan::default() }
    }

    /// Pods for indexes each of which has its own count of failures and its own pause.
    fn create_each(&self, indexes: &[i64]) -> Plan {
        let mut plan = Plan::default();
        for &index in indexes {
            let replaced = self.delayed.get(&index);
            let pause = replaced.map_or(Duration::ZERO, |pod| {
                let (counted, ignored) = failures_of(pod);
                backoff::remaining(counted + ignored + 1, finished_at(pod), self.now)
            });
            if !pause.is_zero() {
                plan.wait = plan.wait.into_iter().chain([pause]).min();
                continue;
            }
            let failures =
                replaced.map_or((0, 0), |pod| match (failures_of(pod), Failure::of(self.job, pod).counts()) {
                    ((counted, ignored), true) => (counted + 1, ignored),
                    ((counted, ignored), false) => (counted, ignored + 1),
                });
            plan.create.push(NewPod { index: Some(index), failures: Some(failures) });
        }
        plan
    }

    fn missing_indexes(&self, count: usize) -> Vec<i64> {
        let indexes_of = |pods: &[&Pod]| -> Vec<i64> { pods.iter().filter_map(|pod| index_of(pod)).collect() };
        let mut taken = self.succeeded_indexes.with_each(indexes_of(&self.active));
        if self.job.replaces_failed_only() {
            let going: Vec<&Pod> = self.pods.iter().filter(|pod| pod.is_terminating()).collect();
            taken = taken.with_each(indexes_of(&going));
        }
        if let Some(failed) = &self.failed_indexes {
            taken = taken.union(failed);
        }
        taken.first_missing(count, self.job.completions())
    }

    /// Active pods to give up: at least so many, and all those whose index is wrong or taken by another.
    fn surplus(&self, at_least: usize) -> Vec<Meta> {
        let mut pods: Vec<Pod> = self.active.iter().map(|pod| (*pod).clone()).collect();
        sort_for_deletion(&mut pods, |_| 0, self.now);
        let (mut remove, mut left): (Vec<Meta>, Vec<Meta>) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        // The last of a kind is the best to keep.
        for pod in pods.iter().rev() {
            let is_kept = !self.job.is_indexed() || self.job.index_of(pod).is_some_and(|index| seen.insert(index));
            if is_kept { &mut left } else { &mut remove }.push(pod.metadata.clone());
        }
        let more = at_least.saturating_sub(remove.len());
        remove.extend(left.into_iter().rev().take(more));
        remove.truncate(BURST);
        remove
    }
}
