//! Whether the store can still write, for those who must end the process when it cannot.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Why a store takes no more writes; final, for what is on the disk is not known any more, or who writes is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store takes no more writes: {0}")]
pub struct Failure(Arc<str>);

impl Failure {
    pub(crate) fn new(reason: &dyn fmt::Display) -> Self {
        Self(reason.to_string().into())
    }

    /// What a panic says.
    pub(crate) fn of_panic(who: &str, panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self(format!("{who} panicked: {}", text.unwrap_or("it left no message")).into())
    }
}

#[derive(Clone, Debug)]
enum State {
    Working,
    /// Closed in order.
    Closed,
    Failed(Failure),
}

/// The store's state, shared by its threads.
#[derive(Debug)]
pub(crate) struct Health(watch::Sender<State>);

impl Health {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(State::Working))
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        match &*self.0.borrow() {
            State::Failed(failure) => Some(failure.clone()),
            State::Working | State::Closed => None,
        }
    }

    /// The first failure stays.
    pub(crate) fn fail(&self, failure: Failure) {
        self.0.send_if_modified(|state| {
            let is_first = !matches!(state, State::Failed(_));
            if is_first {
                tracing::error!(%failure, "the store has failed");
                *state = State::Failed(failure);
            }
            is_first
        });
    }

    pub(crate) fn close(&self) {
        self.0.send_if_modified(|state| {
            let is_working = matches!(state, State::Working);
            if is_working {
                *state = State::Closed;
            }
            is_working
        });
    }

    /// Waits until the store takes no more writes; `None` when it was closed in order.
    pub(crate) async fn ended(&self) -> Option<Failure> {
        let mut state = self.0.subscribe();
        // The sender lives in `self`.
        let _ = state.wait_for(|state| !matches!(state, State::Working)).await;
        self.failure()
    }

    /// Waits for a failure.
    pub(crate) async fn failed(&self) -> Failure {
        match self.ended().await {
            Some(failure) => failure,
            // Closing can still fail, but nobody would act on it any more.
            None => std::future::pending().await,
        }
    }
}
