//! Waiting, in tests, for what tells nobody when it changes: processes, sockets, the kernel's tables.
//!
//! Objects of the API are waited for by a watch (`windlass_testing::Cluster::until`), which also works on paused time. This is for real
//! time, and for tests that need no control plane.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Ends a test that has failed.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(2);
/// Who blocks a thread mostly asks by a program, which takes time itself.
const PAUSE_BLOCKING: Duration = Duration::from_millis(50);

/// Asks until the condition gives a value; returns it. Panics, and says `what` was waited for, when it never does.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// The same for a test without a runtime, with a patience of its own: blocks the thread. The error is what was seen instead.
pub fn until_blocking<T, E: Display>(what: &str, patience: Duration, mut condition: impl FnMut() -> Result<T, E>) -> T {
    let since = Instant::now();
    loop {
        match condition() {
            Ok(value) => return value,
            Err(seen) => assert!(since.elapsed() < patience, "waited too long for {what}; at last: {seen}"),
        }
        #[expect(clippy::disallowed_methods, reason = "nobody tells, and there is no runtime to sleep in")]
        std::thread::sleep(PAUSE_BLOCKING);
    }
}

/// Asks until the condition is true.
pub async fn until_true<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    until(what, || {
        let is_true = condition();
        async { is_true.await.then_some(()) }
    })
    .await;
}
