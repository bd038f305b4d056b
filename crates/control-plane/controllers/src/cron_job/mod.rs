//! A CronJob makes a Job at each time of its schedule.
//!
//! [`plan`] says whether one is due; this file makes jobs, follows those that run, and removes the oldest
//! of those that have ended. A job's name is that of its time, so a crash before the status is written makes none twice.

mod plan;
mod view;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use windlass_api::cron::{self, Schedule};
use windlass_api::resource::{CRON_JOBS, JOBS};
use windlass_api::time::{Clock, parse_rfc3339, rfc3339};
use windlass_api::{ObjectKey, Status, Timestamp};
use windlass_client::{Client, DeleteOptions, EventType, Informer, Outcome, Propagation, Recorder, STATUS, WorkQueue};

use crate::context::Context;
use crate::job::view::Job;
use crate::owners::{OwnerKind, controlled, index_by_controller};
use crate::pod_control::reference;
use crate::waking::owners_of;
use crate::write::modify;
use view::{CronJob, CronJobStatus};

const NAME: &str = "cronjob-controller";
const WORKERS: usize = 5;
const KIND: OwnerKind = OwnerKind { api_version: "batch/v1", kind: "CronJob" };

struct Controller {
    client: Client,
    recorder: Recorder,
    clock: Clock,
    crons: Arc<Informer>,
    jobs: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let client = context.client(NAME);
    let controller = Controller {
        recorder: context.recorder(&client, NAME),
        client,
        clock: context.clock,
        crons: context.informer(&CRON_JOBS),
        jobs: context.informer(&JOBS),
    };
    index_by_controller(&controller.jobs);
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.crons.subscribe(move |change| changed.add(change.object().key.clone()));
    let changed = queue.clone();
    controller.jobs.subscribe(move |change| {
        owners_of(change, KIND).into_iter().for_each(|key| changed.add(key));
    });
    controller.crons.synced().await;
    controller.jobs.synced().await;
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(cron) = self.crons.read::<CronJob>(&key) else { return Ok(Outcome::Done) };
        let mut status = cron.status.clone();
        let jobs = controlled::<Job>(&self.jobs, &cron.metadata.uid);
        self.clean_up(&cron, &mut status, &jobs).await;
        self.follow(&cron, &mut status, &jobs).await?;
        let result = self.start(&cron, &mut status).await;
        if status != cron.status {
            let patch = json!({"metadata": {"uid": cron.metadata.uid}, "status": status});
            modify(&self.client, &self.crons, &CRON_JOBS, &key, STATUS, &patch).await?;
        }
        result.map(|wait| wait.map_or(Outcome::Done, Outcome::Again))
    }

    fn tell(&self, cron: &CronJob, kind: EventType, reason: &str, message: String) {
        self.recorder.event(&reference(KIND, &cron.metadata), kind, reason, message);
    }

    /// Removes the oldest of the jobs that have ended, beyond those that are to be kept. What fails is tried next time.
    async fn clean_up(&self, cron: &CronJob, status: &mut CronJobStatus, jobs: &[Job]) {
        let limits =
            [("Complete", cron.spec.successful_jobs_history_limit), ("Failed", cron.spec.failed_jobs_history_limit)];
        for (kind, limit) in limits {
            let Some(limit) = limit else { continue };
            let ended = |job: &&Job| job.finished().is_some_and(|condition| condition.kind == kind);
            let mut ended: Vec<&Job> = jobs.iter().filter(ended).filter(|job| !job.metadata.is_deleting()).collect();
            ended.sort_by_key(|job| {
                let started = job.status.start_time.clone();
                (started.is_none(), started, job.metadata.name.clone())
            });
            let excess = ended.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in &ended[..excess] {
                if let Err(error) = self.delete(cron, status, job).await {
                    tracing::warn!(job = %job.metadata.key(), %error, "could not remove an old job");
                }
            }
        }
    }

    /// Deletes a job and its pods, and waits until the cache shows it.
    async fn delete(&self, cron: &CronJob, status: &mut CronJobStatus, job: &Job) -> Result<(), Status> {
        let (key, uid) = (job.metadata.key(), job.metadata.uid.clone());
        let options = DeleteOptions::of_uid(uid.clone()).propagation(Propagation::Background);
        match self.client.delete(&JOBS, &key, &options).await {
            Err(error) if !error.is_not_found() => {
                let message = format!("Deleted job: {}", error.message);
                self.tell(cron, EventType::Warning, "FailedDelete", message);
                return Err(error);
            }
            _ => {}
        }
        status.forget(&uid);
        self.tell(cron, EventType::Normal, "SuccessfulDelete", format!("Deleted job {}", key.name));
        let is_going = |job: Job| job.metadata.uid != uid || job.metadata.is_deleting();
        self.jobs.until(|jobs| jobs.read::<Job>(&key).is_none_or(is_going)).await;
        Ok(())
    }

    /// Takes jobs that have ended, or are gone, from the list of those that run.
    async fn follow(&self, cron: &CronJob, status: &mut CronJobStatus, jobs: &[Job]) -> Result<(), Status> {
        for job in jobs {
            let (name, uid) = (&job.metadata.name, &job.metadata.uid);
            let is_active = status.is_active(uid);
            match job.finished() {
                None if !is_active && cron.status.is_active(uid) => {}
                None if !is_active => {
                    let message = format!("Saw a job that the controller did not create or forgot: {name}");
                    self.tell(cron, EventType::Warning, "UnexpectedJob", message);
                }
                None => {}
                Some(condition) => {
                    if is_active {
                        status.forget(uid);
                        let message = format!("Saw completed job: {name}, condition: {}", condition.kind);
                        self.tell(cron, EventType::Normal, "SawCompletedJob", message);
                    }
                    let completed = job.status.completion_time.as_ref().filter(|_| condition.kind == "Complete");
                    if completed > status.last_successful_time.as_ref() {
                        status.last_successful_time = completed.cloned();
                    }
                }
            }
        }
        for active in status.active.clone() {
            if jobs.iter().any(|job| job.metadata.uid == active.uid) {
                continue;
            }
            match self.client.get(&JOBS, &ObjectKey::new(active.namespace, active.name.clone())).await {
                Err(error) if error.is_not_found() => {
                    let message = format!("Active job went missing: {}", active.name);
                    self.tell(cron, EventType::Normal, "MissingJob", message);
                    status.forget(&active.uid);
                }
                found => drop(found?),
            }
        }
        Ok(())
    }

    /// Starts a job if one is due, and says how long to wait for the next.
    async fn start(&self, cron: &CronJob, status: &mut CronJobStatus) -> Result<Option<Duration>, Status> {
        if cron.metadata.is_deleting() {
            return Ok(None);
        }
        let Some(schedule) = self.schedule(cron) else { return Ok(None) };
        let now = self.clock.now();
        let Ok(missed) = plan::missed(cron, &schedule, now, true) else {
            let why = "time difference between two schedules is less than 1 second";
            let message = format!("invalid schedule: {} : {why}", cron.spec.schedule);
            self.tell(cron, EventType::Warning, "InvalidSchedule", message);
            return Ok(None);
        };
        if let Some(at) = missed.latest {
            if missed.many {
                let message =
                    "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
                self.tell(cron, EventType::Warning, "TooManyMissedTimes", message.to_owned());
            }
            if self.may_start(cron, status, at, now) {
                self.replace(cron, status).await?;
                self.create(cron, status, at).await?;
            }
        }
        Ok(plan::wait(cron, &schedule, now))
    }

    /// The schedule, unless the CronJob is suspended or its schedule cannot be understood.
    fn schedule(&self, cron: &CronJob) -> Option<Schedule> {
        let name = cron.spec.time_zone.as_deref().unwrap_or_default();
        let zone = match cron::time_zone(name) {
            Ok(zone) => zone,
            Err(error) => {
                let message = format!("invalid timeZone: {name:?}: {error}");
                self.tell(cron, EventType::Warning, "UnknownTimeZone", message);
                return None;
            }
        };
        if cron.spec.suspend {
            return None;
        }
        match Schedule::parse(&cron.spec.schedule, zone) {
            Ok(schedule) => Some(schedule),
            Err(error) => {
                let message = format!("unparseable schedule: {:?} : {error}", cron.spec.schedule);
                self.tell(cron, EventType::Warning, "UnparseableSchedule", message);
                None
            }
        }
    }

    fn may_start(&self, cron: &CronJob, status: &CronJobStatus, at: Timestamp, now: Timestamp) -> bool {
        if plan::is_too_late(cron, at, now) {
            let time = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
            self.tell(
                cron,
                EventType::Warning,
                "MissSchedule",
                format!("Missed scheduled time to start a job: {time}"),
            );
            return false;
        }
        let name = plan::job_name(cron, at);
        let last = status.last_schedule_time.as_deref().and_then(parse_rfc3339);
        if last == Some(at) || status.active.iter().any(|job| job.name == name) {
            return false;
        }
        if cron.spec.concurrency_policy == "Forbid" && !status.active.is_empty() {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            self.tell(cron, EventType::Normal, "JobAlreadyActive", message.to_owned());
            return false;
        }
        true
    }

    /// With the policy `Replace`, ends the jobs that still run.
    async fn replace(&self, cron: &CronJob, status: &mut CronJobStatus) -> Result<(), Status> {
        if cron.spec.concurrency_policy != "Replace" {
            return Ok(());
        }
        for active in status.active.clone() {
            let key = ObjectKey::new(active.namespace, active.name);
            let job = self.client.get(&JOBS, &key).await.inspect_err(|error| {
                self.tell(cron, EventType::Warning, "FailedGet", format!("Get job: {}", error.message));
            });
            self.delete(cron, status, &job?.decode()?).await?;
        }
        Ok(())
    }

    async fn create(&self, cron: &CronJob, status: &mut CronJobStatus, at: Timestamp) -> Result<(), Status> {
        let job = plan::job(cron, &KIND.controller_of(&cron.metadata), at);
        let key = ObjectKey::new(cron.metadata.namespace.clone(), plan::job_name(cron, at));
        let created = match self.client.create(&JOBS, &cron.metadata.namespace, &job).await {
            Ok(created) => {
                let message = format!("Created job {}", created.key.name);
                self.tell(cron, EventType::Normal, "SuccessfulCreate", message);
                created
            }
            Err(error) if error.is_namespace_terminating() => return Ok(()),
            Err(error) if error.is_already_exists() => self.client.get(&JOBS, &key).await?,
            Err(error) => {
                let message = format!("Error creating job: {}", error.message);
                self.tell(cron, EventType::Warning, "FailedCreate", message);
                return Err(error);
            }
        };
        self.jobs.reached(created.revision).await;
        let job: Job = created.decode()?;
        let is_ours = job.metadata.controller().is_some_and(|owner| owner.uid == cron.metadata.uid);
        if is_ours && !status.is_active(&job.metadata.uid) {
            status.active.push(reference(crate::job::KIND, &job.metadata).into());
            status.last_schedule_time = Some(rfc3339(at));
        }
        Ok(())
    }
}
