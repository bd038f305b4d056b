//! Pods that were tracked for a job that is no more, or that has ended: nobody counts them, so they must not be held back.

use std::sync::Arc;

use windlass_api::meta::PartialObject;
use windlass_api::resource::JOBS;
use windlass_api::{ObjectKey, Status};
use windlass_client::{Informer, Outcome, WorkQueue};

use super::view::{Job, is_tracked};
use super::{Controller, KIND};
use crate::owners::controlled;
use crate::pods::Pod;

/// Queues pods that may be left over.
pub(super) fn wake(jobs: &Arc<Informer>, pods: &Arc<Informer>, queue: &WorkQueue<ObjectKey>) {
    let (changed, all_jobs) = (queue.clone(), jobs.clone());
    pods.subscribe(move |change| {
        let pod = change.new.as_ref().and_then(|object| object.decode::<Pod>().ok());
        let Some(pod) = pod.filter(is_tracked) else { return };
        let is_live = KIND.owner_key(&pod.metadata).and_then(|key| all_jobs.read::<Job>(&key));
        if is_live.is_none_or(|job| job.finished().is_some()) {
            changed.add(pod.metadata.key());
        }
    });
    let (gone, all_pods) = (queue.clone(), pods.clone());
    jobs.subscribe(move |change| {
        let ended = change.new.as_ref().is_none_or(|job| job.decode::<Job>().is_ok_and(|job| job.finished().is_some()));
        let Some(job) = change.object().decode::<PartialObject>().ok().filter(|_| ended) else { return };
        for pod in controlled::<Pod>(&all_pods, &job.metadata.uid).into_iter().filter(is_tracked) {
            gone.add(pod.metadata.key());
        }
    });
}

impl Controller {
    pub(super) async fn sync_orphan(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let pod = self.pods.read::<Pod>(&key).filter(is_tracked);
        if let Some(pod) = pod
            && !self.has_job(&pod).await?
        {
            self.untrack(&pod.metadata).await?;
        }
        Ok(Outcome::Done)
    }

    /// Whether a job, or some other controller, takes care of the pod or will.
    async fn has_job(&self, pod: &Pod) -> Result<bool, Status> {
        let Some(owner) = pod.metadata.controller() else {
            let takes = |job: &Job| {
                let is_going_on = job.finished().is_none() && !job.metadata.is_deleting();
                is_going_on && !pod.metadata.is_deleting() && job.selector().matches(&pod.metadata.labels)
            };
            let jobs = self.jobs.list(&pod.metadata.namespace);
            return Ok(jobs.into_iter().filter_map(|job| job.decode().ok()).any(|job| takes(&job)));
        };
        let Some(key) = KIND.owner_key(&pod.metadata) else { return Ok(true) };
        let is_same = |job: &Job| job.metadata.uid == owner.uid && job.finished().is_none();
        if self.jobs.read::<Job>(&key).is_some_and(|job| is_same(&job)) {
            return Ok(true);
        }
        // The cache of pods may be ahead of that of jobs.
        match self.client.get(&JOBS, &key).await {
            Ok(job) => Ok(is_same(&job.decode()?)),
            Err(status) if status.is_not_found() => Ok(false),
            Err(status) => Err(status),
        }
    }
}
