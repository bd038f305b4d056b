//! Objects that go away by themselves: events, after their time to live.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use windlass_api::time::Clock;

use crate::committer::{CommitError, Txn};
use crate::item::Item;
use crate::store::Store;

/// At most this many deletions are under way at once.
const CHUNK: usize = 64;

pub(crate) struct Due {
    pub table: Arc<str>,
    pub item: Arc<Item>,
}

/// Deletes what is due until the store has gone. Times are rounded to whole seconds, so that objects that were made together go
/// together.
pub(crate) async fn run(store: std::sync::Weak<Store>, clock: Clock, mut queue: mpsc::UnboundedReceiver<Due>) {
    let mut due: BTreeMap<i64, Vec<Due>> = BTreeMap::new();
    loop {
        let now = clock.now().as_second();
        let later = due.split_off(&(now + 1));
        for chunk in due.into_values().flatten().collect::<Vec<_>>().chunks(CHUNK) {
            let Some(store) = store.upgrade() else { return };
            expire(&store, chunk).await;
        }
        due = later;
        let wait = due.keys().next().map(|at| Duration::from_secs((at - now).max(1) as u64));
        let next = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = next => {}
            more = queue.recv() => match more {
                Some(more) => due.entry(more.item.expires).or_default().push(more),
                None => return,
            }
        }
    }
}

/// Deletes objects, each in a transaction of its own: who has been told of a revision goes on after it, so one revision may not stand for
/// two events of a table. The committer writes them together all the same.
async fn expire(store: &Arc<Store>, due: &[Due]) {
    let mut deletions = JoinSet::new();
    for Due { table, item } in due {
        // One that was changed since has its own entry here.
        if store.table(table).get(&item.key).is_some_and(|current| current.revision == item.revision) {
            let (store, txn) = (store.clone(), Txn::delete(table, &item.key, item.revision, None));
            deletions.spawn(async move { store.commit(txn).await });
        }
    }
    while let Some(result) = deletions.join_next().await {
        match result {
            Ok(Ok(_) | Err(CommitError::Conflict { .. })) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an expired object could not be deleted"),
            Err(error) => tracing::error!(%error, "an expired object could not be deleted"),
        }
    }
}
