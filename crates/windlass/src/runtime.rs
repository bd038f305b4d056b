//! The runtime that everything runs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::Failure;

/// How long sockets may wait while a task computes.
const POLLED_EVERY: Duration = Duration::from_millis(50);

/// Starts the runtime's threads.
pub(crate) fn start() -> Result<Runtime, Failure> {
    let failed = |error| Failure::during("the runtime's threads cannot be started", error);
    // The poller watches while this is true; it sleeps while all threads do.
    let watches = Arc::new(AtomicBool::new(true));
    let (send, receive) = mpsc::channel::<Handle>();
    let seen = watches.clone();
    let poller = std::thread::Builder::new().name("io-poller".to_owned()).spawn(move || {
        if let Ok(runtime) = receive.recv() {
            keep_polled(&runtime, &seen);
        }
    });
    let poller = poller.map_err(failed)?.thread().clone();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .on_thread_unpark(move || {
            // Either this sees that the poller sleeps, or the poller sees that this thread does not: see there.
            fence(Ordering::SeqCst);
            if !watches.load(Ordering::Relaxed) && !watches.swap(true, Ordering::SeqCst) {
                poller.unpark();
            }
        })
        .build()
        .map_err(failed)?;
    // It waits for this, and has not ended.
    let _ = send.send(runtime.handle().clone());
    Ok(runtime)
}

/// Has sockets looked at although a task computes. One of the runtime's threads waits for sockets; when the task that it wakes with
/// computes for long, the others stay asleep and nobody waits in its place. A task from outside wakes one of them.
#[expect(clippy::disallowed_methods, reason = "the thread has nothing to await: it is the one that wakes others")]
fn keep_polled(runtime: &Handle, watches: &AtomicBool) {
    let metrics = runtime.metrics();
    // Odd while the thread sleeps; the same as before when it has not slept since.
    let count = |worker| metrics.worker_park_unpark_count(worker);
    let mut before = vec![0; metrics.num_workers()];
    loop {
        std::thread::sleep(POLLED_EVERY);
        let (mut computes, mut sleeps) = (false, true);
        for (worker, before) in before.iter_mut().enumerate() {
            let count = count(worker);
            computes |= count.is_multiple_of(2) && count == *before;
            sleeps &= !count.is_multiple_of(2);
            *before = count;
        }
        if computes {
            drop(runtime.spawn(std::future::ready(())));
        }
        if sleeps {
            watches.store(false, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            // One that woke before it could see that is seen here.
            if (0..before.len()).all(|worker| !count(worker).is_multiple_of(2)) {
                while !watches.load(Ordering::SeqCst) {
                    std::thread::park();
                }
            }
            watches.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A task that computes until somebody else was answered; that fails when nobody is.
    #[test]
    fn others_are_answered_while_a_task_computes() {
        let runtime = start().unwrap();
        if runtime.metrics().num_workers() < 2 {
            return;
        }
        let answered = Arc::new(AtomicBool::new(false));
        let busy = answered.clone();
        let address = runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(async move {
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let busy = busy.clone();
                    tokio::spawn(async move {
                        let asked = stream.read_u8().await.unwrap();
                        if asked == b'c' {
                            let until = Instant::now() + Duration::from_secs(30);
                            while !busy.load(Ordering::Relaxed) && Instant::now() < until {
                                std::hint::spin_loop();
                            }
                        }
                        stream.write_u8(u8::from(busy.load(Ordering::Relaxed))).await.unwrap();
                    });
                }
            });
            address
        });
        let connect = |what: &[u8]| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(what).unwrap();
            stream
        };
        let mut computing = connect(b"c");
        for _ in 0..20 {
            connect(b"?").read_exact(&mut [0]).unwrap();
        }
        answered.store(true, Ordering::Relaxed);
        let mut end = [0];
        computing.read_exact(&mut end).unwrap();
        assert_eq!(end, [1], "nobody was answered while it computed");
    }
}
