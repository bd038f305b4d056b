//! Objects whose time has come are deleted.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use windlass_api::time::Clock;

use crate::committer::{CommitError, Txn};
use crate::expiring::Due;
use crate::store::Store;

/// At most this many deletions are under way at once.
const CHUNK: usize = 64;
/// Between two attempts while the disk takes no deletion.
const RETRY: Duration = Duration::from_secs(10);

/// Deletes what is due until the store has gone. Times are rounded to whole seconds, so that objects that were made together go
/// together.
pub(crate) async fn run(store: Weak<Store>, clock: Clock, mut earliest: watch::Receiver<Option<i64>>) {
    loop {
        let now = clock.now().as_second();
        let first = *earliest.borrow_and_update();
        let wait = match first {
            Some(at) if at <= now => {
                let Some(store) = store.upgrade() else { return };
                match expire(&store, store.expiring().due(now, CHUNK)).await {
                    Ok(()) => continue,
                    Err(CommitError::Closed | CommitError::Broken(_)) => return,
                    Err(error) => {
                        tracing::warn!(%error, "expired objects cannot be deleted yet");
                        Some(RETRY)
                    }
                }
            }
            Some(at) => Some(Duration::from_secs((at - now) as u64)),
            None => None,
        };
        let pause = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = pause => {}
            // The sender goes with the store.
            changed = earliest.changed() => if changed.is_err() { return },
        }
    }
}

/// Deletes objects, each in a transaction of its own, so that one that has changed keeps no other; the committer writes them together
/// all the same. Fails when any could not be deleted, and that not because it has changed.
async fn expire(store: &Arc<Store>, due: Vec<Due>) -> Result<(), CommitError> {
    let mut deletions = JoinSet::new();
    for Due { table, item } in due {
        let (store, txn) = (store.clone(), Txn::delete(&table, &item.key, item.revision, None));
        deletions.spawn(async move { store.commit(txn).await });
    }
    let mut outcome = Ok(());
    while let Some(result) = deletions.join_next().await {
        match result {
            Ok(Ok(_) | Err(CommitError::Conflict { .. })) => {}
            Ok(Err(error)) => outcome = Err(error),
            Err(error) => tracing::error!(%error, "an expired object could not be deleted"),
        }
    }
    outcome
}
