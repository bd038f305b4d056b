//! Pulls of one image at the same time are one pull.
//!
//! The pull runs in a task of its own; whoever asks waits for it. When the last of them has gone, it is aborted. What makes
//! two pulls the same is the reference together with the credentials: nobody gets an image by another's right to it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use windlass_cri::{AuthConfig, Error, ProgressSink, Result};

use crate::digest::Digest;
use crate::progress::Progress;

#[derive(Default)]
pub(crate) struct Flights {
    running: Mutex<HashMap<Key, Flight>>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    reference: String,
    /// Not the credentials themselves: keys live longer than they need to.
    credentials: Option<Digest>,
}

struct Flight {
    waiters: usize,
    progress: Progress,
    outcome: watch::Receiver<Option<Result<Digest>>>,
    abort: AbortHandle,
}

impl Flights {
    /// Joins the running pull of `reference` or starts one with `pull`.
    pub(crate) async fn join<F>(
        self: &Arc<Self>,
        reference: &str,
        auth: Option<&AuthConfig>,
        sink: Option<ProgressSink>,
        pull: impl FnOnce(Progress) -> F,
    ) -> Result<Digest>
    where
        F: Future<Output = Result<Digest>> + Send + 'static,
    {
        let key = Key { reference: reference.to_owned(), credentials: auth.map(fingerprint) };
        let (mut outcome, progress) = self.board(&key, pull);
        let _seat = Seat { flights: self.clone(), key, outcome: outcome.clone() };
        if let Some(sink) = sink {
            progress.tell(sink);
        }
        match outcome.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or_else(|| Err(interrupted())),
            // The task ended without a result: it panicked.
            Err(_) => Err(interrupted()),
        }
    }

    fn board<F>(
        self: &Arc<Self>,
        key: &Key,
        pull: impl FnOnce(Progress) -> F,
    ) -> (watch::Receiver<Option<Result<Digest>>>, Progress)
    where
        F: Future<Output = Result<Digest>> + Send + 'static,
    {
        let mut running = self.running.lock();
        if let Some(flight) = running.get_mut(key)
            // The sender is gone without a result when the task panicked.
            && (flight.outcome.borrow().is_some() || flight.outcome.has_changed().is_ok())
        {
            flight.waiters += 1;
            return (flight.outcome.clone(), flight.progress.clone());
        }
        let progress = Progress::default();
        let (sender, outcome) = watch::channel(None);
        let pulling = pull(progress.clone());
        let (flights, own) = (self.clone(), key.clone());
        let task = tokio::spawn(async move {
            let result = pulling.await;
            // Whoever asks from now on asks anew.
            flights.running.lock().remove(&own);
            sender.send_replace(Some(result));
        });
        let flight =
            Flight { waiters: 1, progress: progress.clone(), outcome: outcome.clone(), abort: task.abort_handle() };
        running.insert(key.clone(), flight);
        (outcome, progress)
    }
}

/// One who waits.
struct Seat {
    flights: Arc<Flights>,
    key: Key,
    outcome: watch::Receiver<Option<Result<Digest>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut running = self.flights.running.lock();
        let Some(flight) = running.get_mut(&self.key) else { return };
        if !flight.outcome.same_channel(&self.outcome) {
            return;
        }
        flight.waiters -= 1;
        if flight.waiters == 0 {
            flight.abort.abort();
            running.remove(&self.key);
        }
    }
}

fn fingerprint(auth: &AuthConfig) -> Digest {
    let fields = [&auth.username, &auth.password, &auth.auth, &auth.identity_token, &auth.registry_token];
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    Digest::of(&bytes)
}

fn interrupted() -> Error {
    Error::internal("the pull was interrupted by a fault of this program")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn one_pull_for_many_and_none_for_nobody() {
        let flights = Arc::new(Flights::default());
        let (started, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let gate = Arc::new(Notify::new());
        let pull = || {
            let (started, ended, gate) = (started.clone(), ended.clone(), gate.clone());
            move |_| async move {
                struct Ended(Arc<AtomicUsize>);
                impl Drop for Ended {
                    fn drop(&mut self) {
                        self.0.fetch_add(1, Ordering::SeqCst);
                    }
                }
                let _ended = Ended(ended);
                started.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                Ok(Digest::of(b"image"))
            }
        };
        let auth = AuthConfig { username: "u".into(), ..AuthConfig::default() };
        let mut first = Box::pin(flights.join("a", None, None, pull()));
        let mut second = Box::pin(flights.join("a", None, None, pull()));
        let mut other = Box::pin(flights.join("a", Some(&auth), None, pull()));
        for waiting in [&mut first, &mut second, &mut other] {
            assert!(futures::poll!(waiting).is_pending());
        }
        while started.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        drop(other);
        drop(first);
        while ended.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        assert_eq!(second.await.unwrap(), Digest::of(b"image"));
        assert_eq!(started.load(Ordering::SeqCst), 2, "another's credentials make another pull");
        assert!(flights.running.lock().is_empty());
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_not_the_end() {
        let flights = Arc::new(Flights::default());
        let failed = flights.join("a", None, None, |_| async { panic!("expected by the test") }).await;
        assert!(failed.unwrap_err().message.contains("interrupted"));
        let good = flights.join("a", None, None, |_| async { Ok(Digest::of(b"x")) }).await;
        assert!(good.is_ok());
    }
}
