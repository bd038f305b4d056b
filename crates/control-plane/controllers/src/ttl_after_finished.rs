//! Jobs that have ended are removed when the time that they want to be kept for is over.

use std::sync::Arc;
use std::time::Duration;

use windlass_api::resource::JOBS;
use windlass_api::time::Clock;
use windlass_api::{ObjectKey, Status, Timestamp};
use windlass_client::{Client, DeleteOptions, Informer, Outcome, Propagation, WorkQueue};

use crate::context::Context;
use crate::job::view::Job;
use crate::write::delete;

const NAME: &str = "ttl-after-finished-controller";
const WORKERS: usize = 2;

struct Controller {
    client: Client,
    clock: Clock,
    jobs: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller { client: context.client(NAME), clock: context.clock, jobs: context.informer(&JOBS) };
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.jobs.subscribe(move |change| changed.add(change.object().key.clone()));
    controller.jobs.synced().await;
    queue.run(NAME, WORKERS, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let now = self.clock.now();
        let left = self.jobs.read::<Job>(&key).and_then(|job| time_left(&job, now));
        match left {
            None => return Ok(Outcome::Done),
            Some(left) if !left.is_zero() => return Ok(Outcome::Again(left)),
            Some(_) => {}
        }
        // The time may have been changed a moment ago, and what has been removed does not come back.
        let current = match self.client.get(&JOBS, &key).await {
            Err(status) if status.is_not_found() => return Ok(Outcome::Done),
            found => found?.decode::<Job>()?,
        };
        if time_left(&current, now).is_none_or(|left| !left.is_zero()) {
            return Ok(Outcome::Done);
        }
        let options = DeleteOptions::of_uid(current.metadata.uid.clone()).propagation(Propagation::Foreground);
        tracing::info!(job = %key, "removing a job whose time after its end is over");
        delete(&self.client, &JOBS, &key, &options).await.map(|()| Outcome::Done)
    }
}

/// How long the job is still kept; `None` when it has not ended, is kept for ever, or goes already.
fn time_left(job: &Job, now: Timestamp) -> Option<Duration> {
    let keep = job.spec.ttl_seconds_after_finished.filter(|_| !job.metadata.is_deleting())?;
    let ended = job.finished()?.since()?;
    let elapsed = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
    Some(Duration::from_secs(keep.unsigned_abs()).saturating_sub(elapsed))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use windlass_api::time::parse_rfc3339;

    use super::*;

    #[test]
    fn times() {
        let job = |ttl: Value, kind: &str| -> Job {
            let condition = json!({"type": kind, "status": "True", "lastTransitionTime": "2026-11-21T06:00:00Z"});
            serde_json::from_value(json!({
                "spec": {"ttlSecondsAfterFinished": ttl}, "status": {"conditions": [condition]}}))
            .unwrap()
        };
        let now = parse_rfc3339("2026-11-21T06:00:10Z").unwrap();
        for (ttl, kind, expected) in [
            (json!(15), "Complete", Some(5)),
            (json!(5), "Failed", Some(0)),
            (json!(0), "Complete", Some(0)),
            (json!(null), "Complete", None),
            (json!(5), "Suspended", None),
        ] {
            let left = time_left(&job(ttl.clone(), kind), now);
            assert_eq!(left, expected.map(Duration::from_secs), "{ttl} {kind}");
        }
    }
}
