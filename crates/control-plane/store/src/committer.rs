//! Transactions, and the thread that makes them durable.
//!
//! Many writers wait while one batch goes to the disk; then all that have come meanwhile form the next batch. A batch is
//! judged against working copies of the tables it touches, written as one record, synced, and only then published. If
//! the disk refuses, the copies are dropped and nothing has happened.
//!
//! Cost of a durable write: one template copied into its item, one record, a share of one sync; measured in `bench/`.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use windlass_machinery::json::Template;

use crate::engine::{Engine, EngineError, Record};
use crate::item::Item;
use crate::store::Tables;
use crate::table::TableState;

/// Transactions that wait while the disk works.
pub(crate) const QUEUE_MAX: usize = 4096;
/// Bytes after which a batch takes no further transaction.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// etcd's limit of one transaction, in operations.
const OPS_MAX: usize = 128;

/// What must be true of an object for an operation to go ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Absent,
    /// The object is at exactly this revision.
    Revision(u64),
}

/// One write.
#[derive(Debug)]
pub struct Op {
    pub table: Arc<str>,
    pub key: String,
    pub expect: Expect,
    /// The object's new version; `None` deletes it.
    pub put: Option<Template>,
    /// For a deletion: the object as watchers see it go, when it differs from the stored one.
    pub last: Option<Template>,
    /// Seconds since the epoch when the object goes by itself; 0 is never.
    pub expires: i64,
}

/// Writes that happen together or not at all.
#[derive(Debug, Default)]
pub struct Txn {
    pub ops: Vec<Op>,
}

/// What a transaction did: for each operation the new version, or the tombstone of what was deleted.
#[derive(Debug)]
pub struct Committed {
    pub revision: u64,
    pub items: Vec<Arc<Item>>,
}

/// Nothing has happened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The operation at `op` found another state than it expected: this one.
    #[error("the object has changed")]
    Conflict { op: usize, current: Option<Arc<Item>> },
    #[error("a transaction of {0} operations is too large; {OPS_MAX} are allowed")]
    TooManyOps(usize),
    /// The disk is full: writes fail until there is space again, reads go on.
    #[error("the store's disk is full: free some space in {0}; until then every write fails, reads go on")]
    DiskFull(String),
    /// The disk failed; what is on it is not known any more, so no write is taken until a restart.
    #[error("the store cannot write any more: {0}; reads go on; mend the disk and restart")]
    Broken(String),
    #[error("the store is shutting down")]
    Closed,
}

impl Txn {
    /// A transaction of one write.
    pub fn put(table: &Arc<str>, key: &str, expect: Expect, template: Template) -> Self {
        let op = Op { table: table.clone(), key: key.to_owned(), expect, put: Some(template), last: None, expires: 0 };
        Self { ops: vec![op] }
    }

    /// A transaction of one deletion; `last` is how watchers see the object go.
    pub fn delete(table: &Arc<str>, key: &str, revision: u64, last: Option<Template>) -> Self {
        let expect = Expect::Revision(revision);
        Self { ops: vec![Op { table: table.clone(), key: key.to_owned(), expect, put: None, last, expires: 0 }] }
    }
}

type Answer = Result<Committed, CommitError>;

pub(crate) struct Request {
    pub txn: Txn,
    pub answer: oneshot::Sender<Answer>,
}

/// What the committer does. It alone changes tables, so everything that does goes through its queue.
pub(crate) enum Work {
    Commit(Request),
    /// Forget the events up to a revision.
    Compact(u64),
    /// Take nothing more: who comes later is refused.
    Close,
}

/// Works until it is told to close, or every sender has gone. Blocks: a thread of its own does this.
pub(crate) fn run(tables: &Tables, engine: &mut dyn Engine, mut queue: mpsc::Receiver<Work>) {
    let mut next = queue.blocking_recv();
    while let Some(work) = next.take() {
        let ControlFlow::Continue(more) = carry_out(tables, engine, work, &mut queue) else { return };
        next = more.or_else(|| queue.blocking_recv());
    }
}

/// The same as a task of the runtime, for an engine that never blocks.
pub(crate) async fn run_as_task(tables: &Tables, engine: &mut dyn Engine, mut queue: mpsc::Receiver<Work>) {
    let mut next = queue.recv().await;
    while let Some(work) = next.take() {
        let ControlFlow::Continue(more) = carry_out(tables, engine, work, &mut queue) else { return };
        next = match more {
            Some(work) => Some(work),
            None => queue.recv().await,
        };
    }
}

/// Does one piece of work, a commit together with those that wait behind it; returns the work that was taken from the queue
/// and could not be part of it.
fn carry_out(
    tables: &Tables,
    engine: &mut dyn Engine,
    work: Work,
    queue: &mut mpsc::Receiver<Work>,
) -> ControlFlow<(), Option<Work>> {
    let first = match work {
        Work::Compact(revision) => {
            tables.compact(revision);
            return ControlFlow::Continue(None);
        }
        Work::Close => return ControlFlow::Break(()),
        Work::Commit(first) => first,
    };
    let mut batch = Batch::new(tables);
    batch.add(first);
    let mut next = None;
    while batch.bytes < BATCH_BYTES_MAX && next.is_none() {
        match queue.try_recv() {
            Ok(Work::Commit(request)) => batch.add(request),
            Ok(other) => next = Some(other),
            Err(_) => break,
        }
    }
    batch.finish(engine);
    ControlFlow::Continue(next)
}

/// Transactions that share one write and one sync.
struct Batch<'a> {
    tables: &'a Tables,
    revision: u64,
    /// Tables as they will be.
    working: HashMap<Arc<str>, TableState>,
    records: Vec<Record>,
    bytes: usize,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

impl<'a> Batch<'a> {
    fn new(tables: &'a Tables) -> Self {
        let revision = tables.revision();
        Self { tables, revision, working: HashMap::new(), records: Vec::new(), bytes: 0, answers: Vec::new() }
    }

    fn add(&mut self, request: Request) {
        let result = self.judge(&request.txn).map(|()| self.apply(request.txn));
        self.answers.push((request.answer, result));
    }

    /// Checks every expectation before anything is applied.
    fn judge(&mut self, txn: &Txn) -> Result<(), CommitError> {
        if txn.ops.len() > OPS_MAX {
            return Err(CommitError::TooManyOps(txn.ops.len()));
        }
        for (index, op) in txn.ops.iter().enumerate() {
            let current = self.table(&op.table).get(&op.key);
            let holds = match (op.expect, current) {
                (Expect::Absent, None) => true,
                (Expect::Revision(revision), Some(item)) => item.revision == revision,
                _ => false,
            };
            if !holds {
                let current = current.cloned();
                return Err(CommitError::Conflict { op: index, current });
            }
        }
        Ok(())
    }

    fn table(&mut self, name: &Arc<str>) -> &mut TableState {
        self.working.entry(name.clone()).or_insert_with(|| (*self.tables.table(name).state()).clone())
    }

    fn apply(&mut self, txn: Txn) -> Committed {
        self.revision += 1;
        let revision = self.revision;
        let mut items = Vec::with_capacity(txn.ops.len());
        for op in txn.ops {
            let state = self.table(&op.table);
            let before = state.get(&op.key).cloned();
            let created = before.as_ref().map_or(revision, |item| item.created);
            let (item, deleted) = match (&op.put, &op.last, &before) {
                (Some(template), ..) => (Item::new(&op.key, template, revision, created, op.expires), false),
                (None, Some(template), _) => (Item::new(&op.key, template, revision, created, 0), true),
                (None, None, Some(before)) => (before.tombstone(revision), true),
                // `judge` saw the object a moment ago; a transaction that names a key twice can take it away.
                (None, None, None) => continue,
            };
            let item = Arc::new(item);
            state.apply(item.clone(), deleted);
            self.bytes += item.value.len();
            self.records.push(Record { table: op.table, item: item.clone(), deleted });
            items.push(item);
        }
        Committed { revision, items }
    }

    fn finish(self, engine: &mut dyn Engine) {
        let written = if self.records.is_empty() { Ok(()) } else { engine.append(&self.records) };
        match written {
            Ok(()) => {
                if !self.records.is_empty() {
                    self.tables.publish(self.working, self.revision);
                    engine.after_append(self.tables);
                }
                for (answer, result) in self.answers {
                    // A writer that has gone away does not need its answer.
                    let _ = answer.send(result);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the store cannot write");
                for (answer, result) in self.answers {
                    // What a transaction was refused for may never have become true, so it is told of the disk as well.
                    drop(result);
                    let _ = answer.send(Err(error.clone().into()));
                }
            }
        }
    }
}

impl From<EngineError> for CommitError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::DiskFull { directory } => Self::DiskFull(directory),
            EngineError::Broken { reason } => Self::Broken(reason),
        }
    }
}
