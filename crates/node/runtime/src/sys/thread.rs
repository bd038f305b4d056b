//! Threads that are thrown away after use, for work that changes what a thread is (its namespaces): no other work may ever
//! run on such a thread.

use std::io;
use std::sync::OnceLock;

use tokio::sync::{Semaphore, oneshot};

/// Throw-away threads at the same time.
const THREADS_MAX: usize = 16;

fn permits() -> &'static Semaphore {
    static PERMITS: OnceLock<Semaphore> = OnceLock::new();
    PERMITS.get_or_init(|| Semaphore::new(THREADS_MAX))
}

/// Runs `work` on a thread of its own and ends the thread.
pub(crate) async fn run<T, F>(name: &str, work: F) -> io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let permit = permits().acquire().await.map_err(io::Error::other)?;
    let (done, result) = oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(move || {
        let _ = done.send(work());
        // Held until the thread's work is over, even when the caller has stopped waiting.
        drop(permit);
    })?;
    result.await.map_err(|_| io::Error::other("the thread panicked"))?
}
