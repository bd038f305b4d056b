//! Asking a server that has trouble again.
//!
//! Source: upstream apiserver `pkg/util/webhook/webhook.go`.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use windlass_api::Chance;

use crate::client::Answer;
use crate::failure::CallError;
use crate::kubeconfig::Remote;

/// As often a server is asked, after pauses that grow by half.
const ATTEMPTS_MAX: u32 = 5;
const GROWTH: f64 = 1.5;
const JITTER: f64 = 0.2;

/// When a server is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The time before the second attempt.
    pub first_pause: Duration,
    /// Whether no failure is final: what is sent must not be lost. Else only those count that may have passed the next time.
    pub after_any_failure: bool,
}

impl Retry {
    /// The way of webhooks of authentication and authorization, for which a request waits.
    pub const REVIEWS: Self = Self { first_pause: Duration::from_millis(500), after_any_failure: false };
}

impl Remote {
    /// As [`Remote::post`], where one attempt may take `timeout`, and a server that has trouble is asked again. `observe` is told of each
    /// attempt, and how long it took.
    pub async fn post_patiently(
        &self,
        body: Bytes,
        timeout: Duration,
        retry: Retry,
        chance: &Chance,
        observe: impl Fn(&Result<Answer, CallError>, Duration) + Send,
    ) -> Result<Answer, CallError> {
        let (mut pause, mut attempt) = (retry.first_pause, 1);
        loop {
            let started = Instant::now();
            let answered = self.post(body.clone(), timeout).await;
            observe(&answered, started.elapsed());
            match answered {
                Err(error) if (retry.after_any_failure || error.is_passing()) && attempt < ATTEMPTS_MAX => {
                    tracing::debug!(%error, attempt, "a webhook is asked again");
                    sleep(pause + pause.mul_f64(JITTER * part(chance))).await;
                    pause = pause.mul_f64(GROWTH);
                    attempt += 1;
                }
                answered => return answered,
            }
        }
    }
}

/// A number from 0 to 1.
fn part(chance: &Chance) -> f64 {
    const PARTS: u16 = 1024;
    f64::from(u16::try_from(chance.below(PARTS.into())).unwrap_or_default()) / f64::from(PARTS)
}
