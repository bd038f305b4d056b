//! Work that computes for long.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs what computes for long where it holds up no other request: its thread is no worker of the runtime's meanwhile.
pub(crate) async fn apart<T>(work: impl Future<Output = T>) -> T {
    let runtime = Handle::current();
    // A runtime of one thread has no other worker.
    if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work.await;
    }
    tokio::task::block_in_place(|| runtime.block_on(work))
}
