//! A server that takes events over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use windlass_api::Chance;
use windlass_webhook::{Answer, CallError, Remote, Retry};

/// How long a list of events may take: as kube-apiserver.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Takes events at another place.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// Sends an `EventList`; tries again as long as that may help.
    async fn send(&self, events: Bytes) -> Result<(), String>;
}

/// The server of a kubeconfig. It is tried again whatever the failure is: an event that is not recorded is lost.
pub struct WebhookServer {
    remote: Remote,
    retry: Retry,
    chance: Chance,
}

impl WebhookServer {
    pub fn new(remote: Remote, first_pause: Duration, chance: Chance) -> Self {
        Self { remote, retry: Retry { first_pause, after_any_failure: true }, chance }
    }
}

#[async_trait]
impl Webhook for WebhookServer {
    async fn send(&self, events: Bytes) -> Result<(), String> {
        let told = |answered: &Result<Answer, CallError>, _| {
            if let Err(error) = answered {
                tracing::warn!(%error, "the audit webhook does not take events");
            }
        };
        let answered = self.remote.post_patiently(events, TIMEOUT, self.retry, &self.chance, told).await;
        answered.map(|_| ()).map_err(|error| error.to_string())
    }
}
