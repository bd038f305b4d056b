//! The store as others have it: read its tables, commit to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::committer::{CommitError, Committed, Request, Txn, Work};
use crate::engine::Rewrite;
use crate::expiring::Expiring;
use crate::health::{Failure, Health};
use crate::table::{Expired, Table, TableState};
use crate::tables::Tables;

/// Why not everything has been written anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    #[error("the store cannot be written anew: {0}")]
    Failed(String),
    #[error("the store is shutting down")]
    Closed,
}

/// The store. Dropping the last handle ends the committer after the transactions that wait.
#[derive(Debug)]
pub struct Store {
    tables: Arc<Tables>,
    queue: mpsc::Sender<Work>,
    compacted: AtomicU64,
    health: Arc<Health>,
}

impl Store {
    pub(crate) fn new(tables: Arc<Tables>, queue: mpsc::Sender<Work>, health: Arc<Health>) -> Self {
        Self { tables, queue, compacted: AtomicU64::new(0), health }
    }

    /// An error when the store takes no more writes because its disk or its committer has failed. It stays one: the process has to end,
    /// and the next start finds out what is on the disk.
    pub fn health(&self) -> Result<(), Failure> {
        self.health.failure().map_or(Ok(()), Err)
    }

    /// Waits until the store has failed; for ever when it is closed in order.
    pub async fn failed(&self) -> Failure {
        self.health.failed().await
    }

    pub(crate) fn expiring(&self) -> &Expiring {
        &self.tables.expiring
    }

    /// The revision up to which everything can be read.
    pub fn revision(&self) -> u64 {
        self.tables.revision()
    }

    /// Waits until everything up to a revision can be read.
    pub async fn reached(&self, revision: u64) {
        let mut current = self.tables.reached.subscribe();
        // The sender lives in this store.
        let _ = current.wait_for(|current| *current >= revision).await;
    }

    /// Reads before this revision may fail with [`Expired`].
    pub fn compacted(&self) -> u64 {
        self.compacted.load(Ordering::Acquire)
    }

    pub fn table(&self, name: &str) -> Arc<Table> {
        self.tables.table(name)
    }

    /// Every table that has, or has had, an object or a reader.
    pub fn tables(&self) -> Vec<Arc<Table>> {
        self.tables.all()
    }

    /// The table as it was at a revision, as far back as compaction allows.
    pub fn state_at(&self, table: &Table, revision: u64) -> Result<Arc<TableState>, Expired> {
        let compacted = self.compacted();
        if revision < compacted {
            return Err(Expired::TooOld { asked: revision, oldest: compacted });
        }
        let current = self.revision();
        if revision > current {
            return Err(Expired::TooLarge { asked: revision, current });
        }
        table.state_at(revision)
    }

    /// Makes a transaction durable and visible; when this returns, both are true. Waits while the queue is full. Who stops waiting does
    /// not stop the transaction.
    pub async fn commit(&self, txn: Txn) -> Result<Committed, CommitError> {
        let (answer, result) = oneshot::channel();
        if self.queue.send(Work::Commit(Request { txn, answer })).await.is_err() {
            return Err(self.ended().await);
        }
        match result.await {
            Ok(result) => result,
            Err(_) => Err(self.ended().await),
        }
    }

    /// Why a committer that is gone, or going, gives no answer.
    async fn ended(&self) -> CommitError {
        self.health.ended().await.map_or(CommitError::Closed, CommitError::Broken)
    }

    /// Forgets the past before `revision`.
    pub async fn compact(&self, revision: u64) {
        self.compacted.fetch_max(revision, Ordering::AcqRel);
        // A committer that has ended has nothing to forget.
        let _ = self.queue.send(Work::Compact(revision)).await;
    }

    /// Writes every object anew, as it is encrypted now, and removes what stood on the disk before. Writers go on meanwhile.
    pub async fn rewrite(&self) -> Result<(), RewriteError> {
        loop {
            let (answer, begun) = oneshot::channel();
            let asked = self.queue.send(Work::Rewrite(answer)).await;
            let begun = if asked.is_ok() { begun.await.ok() } else { None };
            let Some(begun) = begun else { return Err(RewriteError::Closed) };
            let (mut ending, is_ours) = match begun.map_err(RewriteError::Failed)? {
                Rewrite::Needless => return Ok(()),
                Rewrite::After(ending) => (ending, false),
                Rewrite::Begun(ending) => (ending, true),
            };
            let ended = match ending.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                Err(_) => Some(Err("the thread that writes snapshots of the store panicked".to_owned())),
            };
            if is_ours {
                return ended.unwrap_or(Ok(())).map_err(RewriteError::Failed);
            }
        }
    }

    /// Takes no more transactions and waits for those that are under way.
    pub async fn close(&self) {
        // A committer that has ended needs not be told.
        let _ = self.queue.send(Work::Close).await;
        self.queue.closed().await;
        let _ = self.health.ended().await;
    }
}
