//! Transactions, and the thread that makes them durable.
//!
//! Many writers wait while one batch goes to the disk; then all that have come meanwhile form the next batch. A batch is
//! judged against working copies of the tables it touches, written as one record, synced, and only then published. If
//! the disk refuses, the copies are dropped and nothing has happened.
//!
//! Cost of a durable write: one template copied into its item, one record, a share of one sync; measured in `bench/`.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use windlass_machinery::json::Template;

use crate::engine::{Engine, EngineError, FRAME_MAX, Record, Rewrite};
use crate::expiring::Changes;
use crate::health::{Failure, Health};
use crate::item::Item;
use crate::table::TableState;
use crate::tables::Tables;

/// Transactions that wait while the disk works.
pub(crate) const QUEUE_MAX: usize = 4096;
/// Bytes after which a batch takes no further transaction.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// etcd's limit of one transaction, in operations.
const OPS_MAX: usize = 128;
/// Bytes of one transaction; far more than the API lets through, and with a full batch less than what can be read back.
const TXN_BYTES_MAX: usize = 32 << 20;
/// More than what an operation takes in a record beside its key, its value and the name of its table.
const OP_BYTES: usize = 128;
const _: () = assert!(BATCH_BYTES_MAX + TXN_BYTES_MAX < FRAME_MAX, "a batch is one frame");

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
    /// Seconds since the epoch when the object goes by itself; 0 leaves it as it is, which for a new object is never.
    pub expires: i64,
}

/// Writes that happen together or not at all.
#[derive(Debug, Default)]
pub struct Txn {
    pub ops: Vec<Op>,
}

/// What a transaction did: for each operation the new version, or the tombstone of what was deleted; `revision` is the last one's.
#[derive(Debug)]
pub struct Committed {
    pub revision: u64,
    pub items: Vec<Arc<Item>>,
}

/// Why a transaction has not happened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CommitError {
    /// The operation at `op` found another state than it expected: this one.
    #[error("the object has changed")]
    Conflict { op: usize, current: Option<Arc<Item>> },
    #[error("a transaction of {0} operations is too large; {OPS_MAX} are allowed")]
    TooManyOps(usize),
    #[error("a transaction of {0} bytes is too large; {TXN_BYTES_MAX} are allowed")]
    TooManyBytes(usize),
    /// The disk is full: writes fail until there is space again, reads go on.
    #[error("the store's disk is full: free some space in {0}; until then every write fails, reads go on")]
    DiskFull(String),
    /// A value cannot be encrypted now. Others may be written.
    #[error("{0}")]
    Encryption(String),
    /// The store has failed. Of a transaction that was under way when it did, only the next start can tell.
    #[error(transparent)]
    Broken(Failure),
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
    /// Write everything anew.
    Rewrite(oneshot::Sender<Result<Rewrite, String>>),
    /// Take nothing more: who comes later is refused.
    Close,
}

/// The committer's own: what it works with until it ends.
pub(crate) struct Committer {
    pub tables: Arc<Tables>,
    pub engine: Box<dyn Engine>,
    pub queue: mpsc::Receiver<Work>,
    pub health: Arc<Health>,
}

impl Committer {
    /// Works until it is told to close, or every sender has gone. Blocks: a thread of its own does this.
    pub(crate) fn run(mut self) {
        let mut next = self.queue.blocking_recv();
        while let Some(work) = next.take() {
            let ControlFlow::Continue(more) = self.carry_out_safely(work) else { break };
            next = more.or_else(|| self.queue.blocking_recv());
        }
        self.end();
    }

    /// The same as a task of the runtime, for an engine that never blocks.
    pub(crate) async fn run_as_task(mut self) {
        let mut next = self.queue.recv().await;
        while let Some(work) = next.take() {
            let ControlFlow::Continue(more) = self.carry_out_safely(work) else { break };
            next = match more {
                Some(work) => Some(work),
                None => self.queue.recv().await,
            };
        }
        self.end();
    }

    /// A panic is the end: nobody knows what it left behind. Who waits for an answer is told when the health says why.
    fn carry_out_safely(&mut self, work: Work) -> ControlFlow<(), Option<Work>> {
        let Self { tables, engine, queue, health } = self;
        match catch_unwind(AssertUnwindSafe(|| carry_out(tables, &mut **engine, work, queue))) {
            Ok(next) => next,
            Err(panic) => {
                health.fail(Failure::of_panic("the committer", &*panic));
                ControlFlow::Break(())
            }
        }
    }

    /// The engine goes first: who has waited for the end can open the store again.
    fn end(self) {
        drop(self.engine);
        self.health.close();
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
        Work::Rewrite(answer) => {
            // Who has gone does not need the answer.
            let _ = answer.send(engine.rewrite(tables));
            return ControlFlow::Continue(None);
        }
        Work::Close => return ControlFlow::Break(()),
        Work::Commit(first) => first,
    };
    let mut batch = Batch::new(tables);
    batch.add(first, engine);
    let mut next = None;
    while batch.bytes < BATCH_BYTES_MAX && next.is_none() {
        match queue.try_recv() {
            Ok(Work::Commit(request)) => batch.add(request, engine),
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
    expiring: Changes,
    bytes: usize,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

impl<'a> Batch<'a> {
    fn new(tables: &'a Tables) -> Self {
        Self {
            tables,
            revision: tables.revision(),
            working: HashMap::new(),
            records: Vec::new(),
            expiring: Changes::default(),
            bytes: 0,
            answers: Vec::new(),
        }
    }

    fn add(&mut self, request: Request, engine: &dyn Engine) {
        let result = self.judge(&request.txn, engine).map(|()| self.apply(request.txn));
        self.answers.push((request.answer, result));
    }

    /// Checks every expectation before anything is applied.
    fn judge(&mut self, txn: &Txn, engine: &dyn Engine) -> Result<(), CommitError> {
        if txn.ops.len() > OPS_MAX {
            return Err(CommitError::TooManyOps(txn.ops.len()));
        }
        let bytes = txn.ops.iter().map(bytes_of).sum();
        // Who is refused counts as well, so that a batch ends in any case.
        self.bytes += bytes;
        if bytes > TXN_BYTES_MAX {
            return Err(CommitError::TooManyBytes(bytes));
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
            if op.put.is_some() {
                engine.check(&op.table).map_err(CommitError::Encryption)?;
            }
        }
        Ok(())
    }

    fn table(&mut self, name: &Arc<str>) -> &mut TableState {
        self.working.entry(name.clone()).or_insert_with(|| (*self.tables.table(name).state()).clone())
    }

    /// Each operation has a revision of its own: a watcher that has been told of a revision goes on after it, and would lose a second
    /// event of the same one.
    fn apply(&mut self, txn: Txn) -> Committed {
        let mut items = Vec::with_capacity(txn.ops.len());
        for op in txn.ops {
            let revision = self.revision + 1;
            let state = self.table(&op.table);
            let before = state.get(&op.key).cloned();
            let created = before.as_ref().map_or(revision, |item| item.created);
            let expires = if op.expires == 0 { before.as_ref().map_or(0, |item| item.expires) } else { op.expires };
            let (item, deleted) = match (&op.put, &op.last, &before) {
                (Some(template), ..) => (Item::new(&op.key, template, revision, created, expires), false),
                (None, Some(template), _) => (Item::new(&op.key, template, revision, created, 0), true),
                (None, None, Some(before)) => (before.tombstone(revision), true),
                // `judge` saw the object a moment ago; a transaction that names a key twice can take it away.
                (None, None, None) => continue,
            };
            let item = Arc::new(item);
            let event = state.apply(item.clone(), deleted);
            // Only now: nobody may be told of a revision that is not on the disk.
            self.revision = revision;
            self.expiring.add(&op.table, event);
            self.records.push(Record { table: op.table, item: item.clone(), deleted });
            items.push(item);
        }
        Committed { revision: self.revision, items }
    }

    fn finish(self, engine: &mut dyn Engine) {
        let written = if self.records.is_empty() { Ok(()) } else { engine.append(&self.records) };
        match written {
            Ok(()) => {
                if !self.records.is_empty() {
                    self.tables.publish(self.working, self.revision, self.expiring);
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

/// What an operation may take in a record.
fn bytes_of(op: &Op) -> usize {
    OP_BYTES + op.table.len() + op.key.len() + op.put.as_ref().map_or(0, Template::len)
}

impl From<EngineError> for CommitError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::DiskFull { directory } => Self::DiskFull(directory),
            EngineError::Encryption(why) => Self::Encryption(why),
            EngineError::Broken(failure) => Self::Broken(failure),
        }
    }
}
