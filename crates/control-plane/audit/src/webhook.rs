//! A server that takes events over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::sleep;
use windlass_api::Chance;
use windlass_webhook::Remote;

/// How long a list of events may take, and how often it is sent when it does not arrive: as kube-apiserver.
const TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 5;
/// Each pause is longer than the one before, and up to a fifth longer by chance.
const GROWTH: f64 = 1.5;

/// Takes events at another place.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// Sends an `EventList`; tries again as long as that may help.
    async fn send(&self, events: Bytes) -> Result<(), String>;
}

/// The server of a kubeconfig. It is tried again whatever the failure is: an event that is not recorded is lost.
pub struct WebhookServer {
    remote: Remote,
    first_pause: Duration,
    chance: Chance,
}

impl WebhookServer {
    pub fn new(remote: Remote, first_pause: Duration, chance: Chance) -> Self {
        Self { remote, first_pause, chance }
    }
}

#[async_trait]
impl Webhook for WebhookServer {
    async fn send(&self, events: Bytes) -> Result<(), String> {
        let mut pause = self.first_pause;
        let mut attempt = 1;
        while let Err(error) = self.remote.post(events.clone(), TIMEOUT).await {
            if attempt == ATTEMPTS {
                return Err(error.to_string());
            }
            tracing::warn!(%error, attempt, "the audit webhook does not take events");
            sleep(pause + pause / 1000 * self.chance.below(200) as u32).await;
            pause = pause.mul_f64(GROWTH);
            attempt += 1;
        }
        Ok(())
    }
}
