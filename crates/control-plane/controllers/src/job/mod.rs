//! A Job runs pods until enough of them have succeeded, or too many have failed.
//!
//! [`plan`] decides which pods come and go and when the job has ended, [`tracking`] how they are counted; this file carries it out.
//! How long replacing a failed pod pauses is remembered here only: a new process starts with no pauses. Pods that are left with a
//! job's finalizer when their job is gone lose it by [`orphans`].

mod backoff;
#[cfg(test)]
mod cases;
mod indexes;
mod orphans;
mod plan;
mod policy;
mod template;
mod tracking;
pub(crate) mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use windlass_api::meta::PartialObject;
use windlass_api::resource::{JOBS, PODS};
use windlass_api::time::Clock;
use windlass_api::{Condition, Meta, ObjectKey, Status};
use windlass_client::{Change, Client, EventType, Informer, OBJECT, Outcome, PatchType, STATUS, WorkQueue};

use crate::context::Context;
use crate::owners::{Claimant, OwnerKind, index_by_controller};
use crate::pod_control::{PodControl, reference, slow_start};
use crate::pods::Pod;
use crate::waking::wake_by_pods_alone;
use crate::write::modify;
use backoff::Backoff;
use plan::{Observed, Plan};
use tracking::Event;
use view::{FINALIZER, Job, JobStatus, is_tracked};

const NAME: &str = "job-controller";
const WORKERS: usize = 5;
/// A job that the API server lets not have its pods is tried again after this time; it doubles with each failure, up to a minute.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A change of a job's status is looked at after this time.
const STATUS_PAUSE: Duration = Duration::from_secs(1);
pub(crate) const KIND: OwnerKind = OwnerKind { api_version: "batch/v1", kind: "Job" };

struct Controller {
    client: Client,
    pod_control: PodControl,
    clock: Clock,
    jobs: Arc<Informer>,
    pods: Arc<Informer>,
    /// By the UIDs of jobs that have not ended.
    backoffs: Mutex<HashMap<String, Backoff>>,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        client: client.clone(),
        pod_control: PodControl { recorder: context.recorder(&client, NAME), client },
        clock: context.clock,
        jobs: context.informer(&JOBS),
        pods: context.informer(&PODS),
        backoffs: Mutex::default(),
    };
    index_by_controller(&controller.pods);
    let (queue, left_over) = (WorkQueue::with_first_pause(FIRST_PAUSE), WorkQueue::with_first_pause(FIRST_PAUSE));
    let changed = queue.clone();
    controller.jobs.subscribe(move |change| {
        let wait = if is_of_status(change) { STATUS_PAUSE } else { Duration::ZERO };
        changed.add_after(change.object().key.clone(), wait);
    });
    wake_by_pods_alone(&controller.jobs, &controller.pods, &queue, KIND, Job::selector);
    orphans::wake(&controller.jobs, &controller.pods, &left_over);
    controller.jobs.synced().await;
    controller.pods.synced().await;
    let orphans = left_over.run("job-orphan-pods", 1, async |key| controller.sync_orphan(key).await);
    let jobs = queue.run(NAME, WORKERS, async |key| controller.sync(key).await);
    tokio::join!(jobs, orphans);
}

/// Whether a job wants what it wanted before. Such a change is mostly our own; it must not cut the pause after a failure short.
fn is_of_status(change: &Change) -> bool {
    let wish = |object: &Option<windlass_client::Object>| {
        let metadata = object.as_ref()?.decode::<PartialObject>().ok()?.metadata;
        Some((metadata.uid, metadata.generation, metadata.deletion_timestamp))
    };
    change.old.is_some() && wish(&change.old) == wish(&change.new)
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(job) = self.jobs.read::<Job>(&key) else { return Ok(Outcome::Done) };
        if job.is_managed_elsewhere() || job.finished().is_some() {
            self.backoffs().remove(&job.metadata.uid);
            return Ok(Outcome::Done);
        }
        let backoff = self.backoffs().get(&job.metadata.uid).copied().unwrap_or_default();
        let mut pods = self.claim(&job).await?;
        let plan = Observed::new(&job, &pods, backoff, self.clock.now()).plan();
        let done = self.act(&job, &plan).await;
        if !plan.is_idle() {
            pods = self.claim(&job).await?;
        }
        self.track(&job, &Observed::new(&job, &pods, backoff, self.clock.now())).await?;
        done?;
        Ok(plan.wait.map_or(Outcome::Done, Outcome::Again))
    }

    fn backoffs(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Backoff>> {
        self.backoffs.lock()
    }

    /// The job's pods. One that is adopted gets the finalizer first, so that it is counted.
    async fn claim(&self, job: &Job) -> Result<Vec<Pod>, Status> {
        let selector = job.selector();
        if !job.metadata.is_deleting() {
            let orphans = crate::owners::orphans::<Pod>(&self.pods, &job.metadata.namespace);
            let wanted = |pod: &&Pod| !pod.metadata.is_deleting() && selector.matches(&pod.metadata.labels);
            for pod in orphans.iter().filter(wanted).filter(|pod| !is_tracked(pod)) {
                let patch = json!({"metadata": {"uid": pod.metadata.uid, "finalizers": [FINALIZER]}});
                self.patch(&pod.metadata, &patch).await?;
            }
        }
        let claimant =
            Claimant { client: &self.client, kind: KIND, resource: &JOBS, owner: &job.metadata, selector: &selector };
        claimant.claim(&self.pods, &PODS).await
    }

    /// Patches a pod and waits until the cache shows it. A pod that is gone, or replaced by one of the same name, is no failure.
    async fn patch(&self, pod: &Meta, patch: &serde_json::Value) -> Result<(), Status> {
        match self.client.patch_as(PatchType::Strategic, &PODS, &pod.key(), OBJECT, patch).await {
            Ok(written) => self.pods.reached(written.revision).await,
            Err(status) if status.says_gone() => {}
            Err(status) => return Err(status),
        }
        Ok(())
    }

    async fn untrack(&self, pod: &Meta) -> Result<(), Status> {
        if !pod.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": pod.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
        self.patch(pod, &patch).await
    }

    async fn act(&self, job: &Job, plan: &Plan) -> Result<(), Status> {
        let about = reference(KIND, &job.metadata);
        let ended = plan.end.iter().map(|pod| self.pod_control.delete(&about, &self.pods, pod));
        first_failure(futures::future::join_all(ended).await)?;
        let removed = plan.remove.iter().map(async |pod| {
            self.untrack(pod).await?;
            self.pod_control.delete(&about, &self.pods, pod).await
        });
        first_failure(futures::future::join_all(removed).await)?;
        let create = async |index: usize| {
            let pod = template::pod(job, KIND.controller_of(&job.metadata), &plan.create[index])?;
            let created = self.pod_control.create(&about, &pod).await?;
            self.pods.reached(created.revision).await;
            Ok(())
        };
        match slow_start(plan.create.len(), create).await.1 {
            Err(status) if status.is_namespace_terminating() => Ok(()),
            result => result,
        }
    }

    /// Counts what has ended: names it, removes its finalizers, counts it; and ends the job when that is all.
    async fn track(&self, job: &Job, observed: &Observed<'_>) -> Result<(), Status> {
        let (tracking, event) = observed.track();
        self.write(job, &job.status, &tracking.status).await?;
        self.backoffs().insert(job.metadata.uid.clone(), observed.backoff);
        self.tell(job, event);
        let untracked = tracking.untrack.iter().map(|pod| self.untrack(&pod.metadata));
        let untracked = first_failure(futures::future::join_all(untracked).await);
        let mut status = tracking.status.clone();
        let pods: Vec<Pod> = observed.pods.iter().filter_map(|pod| self.same(pod)).collect();
        tracking::count(&mut status, &pods);
        let last = tracking.last.filter(|_| !tracking.is_full && untracked.is_ok());
        let ended = last.filter(|last| tracking::finish(job, &mut status, last));
        self.write(job, &tracking.status, &status).await?;
        if let Some(last) = ended {
            self.tell_end(job, &status, &last);
            self.backoffs().remove(&job.metadata.uid);
        }
        untracked
    }

    /// A pod as it is now, unless it has gone.
    fn same(&self, pod: &Pod) -> Option<Pod> {
        let now = self.pods.read::<Pod>(&pod.metadata.key())?;
        (now.metadata.uid == pod.metadata.uid).then_some(now)
    }

    async fn write(&self, job: &Job, old: &JobStatus, new: &JobStatus) -> Result<(), Status> {
        if old == new {
            return Ok(());
        }
        let patch = json!({"metadata": {"uid": job.metadata.uid}, "status": new});
        modify(&self.client, &self.jobs, &JOBS, &job.metadata.key(), STATUS, &patch).await.map(drop)
    }

    fn tell(&self, job: &Job, event: Option<Event>) {
        let (reason, message) = match event {
            Some(Event::Suspended) => ("Suspended", "Job suspended"),
            Some(Event::Resumed) => ("Resumed", "Job resumed"),
            None => return,
        };
        self.pod_control.recorder.event(&reference(KIND, &job.metadata), EventType::Normal, reason, message.to_owned());
    }

    fn tell_end(&self, job: &Job, status: &JobStatus, last: &Condition) {
        let about = reference(KIND, &job.metadata);
        let recorder = &self.pod_control.recorder;
        if last.kind != "Complete" {
            return recorder.event(&about, EventType::Warning, &last.reason, last.message.clone());
        }
        if job.spec.completions.is_some_and(|completions| status.succeeded > completions) {
            let message = "Too many succeeded pods running after completion count reached".to_owned();
            recorder.event(&about, EventType::Warning, "TooManySucceededPods", message);
        }
        recorder.event(&about, EventType::Normal, "Completed", "Job completed".to_owned());
    }
}

impl Plan {
    fn is_idle(&self) -> bool {
        self.end.is_empty() && self.remove.is_empty() && self.create.is_empty()
    }
}

fn first_failure(results: Vec<Result<(), Status>>) -> Result<(), Status> {
    results.into_iter().collect()
}
