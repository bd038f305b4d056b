//! PodCertificateRequests are removed a while after they were made, answered or not: the kubelet has long taken its certificate, or asks
//! again.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use windlass_api::resource::POD_CERTIFICATE_REQUESTS;
use windlass_api::time::{Clock, parse_rfc3339};
use windlass_api::{Meta, ObjectKey, Status, Timestamp};
use windlass_client::{Client, DeleteOptions, Informer, Outcome, WorkQueue};

use crate::context::Context;
use crate::write::delete;

const NAME: &str = "podcertificaterequestcleaner";
/// Everything that has to do with a request happens sooner.
const KEPT: Duration = Duration::from_secs(15 * 60);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    metadata: Meta,
}

struct Controller {
    client: Client,
    clock: Clock,
    requests: Arc<Informer>,
}

pub(crate) async fn run(context: Context) {
    let controller = Controller {
        client: context.client(NAME),
        clock: context.clock,
        requests: context.informer(&POD_CERTIFICATE_REQUESTS),
    };
    let queue = WorkQueue::new();
    let changed = queue.clone();
    controller.requests.subscribe(move |change| {
        if change.old.is_none() {
            changed.add(change.object().key.clone());
        }
    });
    controller.requests.synced().await;
    queue.run(NAME, 1, async |key| controller.sync(key).await).await;
}

impl Controller {
    async fn sync(&self, key: ObjectKey) -> Result<Outcome, Status> {
        let Some(request) = self.requests.read::<Request>(&key) else { return Ok(Outcome::Done) };
        let left = time_left(&request.metadata, self.clock.now());
        if !left.is_zero() {
            return Ok(Outcome::Again(left));
        }
        let options = DeleteOptions::of_uid(request.metadata.uid);
        delete(&self.client, &POD_CERTIFICATE_REQUESTS, &key, &options).await.map(|()| Outcome::Done)
    }
}

/// How long a request is still kept.
fn time_left(metadata: &Meta, now: Timestamp) -> Duration {
    let made = metadata.creation_timestamp.as_deref().and_then(parse_rfc3339).unwrap_or(now);
    let age = Duration::try_from(now.duration_since(made)).unwrap_or_default();
    KEPT.saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_quarter_of_an_hour() {
        let metadata: Meta = serde_json::from_value(json!({"creationTimestamp": "2026-11-30T06:00:00Z"})).unwrap();
        for (now, left_seconds) in [
            ("2026-11-30T05:59:00Z", 900),
            ("2026-11-30T06:14:59Z", 1),
            ("2026-11-30T06:15:00Z", 0),
            ("2027-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(time_left(&metadata, parse_rfc3339(now).unwrap()), Duration::from_secs(left_seconds), "{now}");
        }
    }
}
