//! The store: its tables, its committer, its housekeeping.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use windlass_api::time::Clock;

use crate::committer::{self, CommitError, Committed, Committer, Request, Txn, Work};
use crate::engine::{self, Disk, Engine, OpenError, SecretKey, Sizes, SystemDisk};
use crate::expiry::{self, Changes, Expiring};
use crate::health::{Failure, Health};
use crate::item::Item;
use crate::table::{Expired, Table, TableState};

/// What happened longer ago may be forgotten. (kube-apiserver compacts etcd every five minutes to where it was five minutes before,
/// so that between five and ten minutes are kept.)
const PAST_KEPT: Duration = Duration::from_secs(300);
/// Bytes that the events of all tables together may hold; the table that holds most gives way.
const EVENT_BYTES_MAX: usize = 256 << 20;
/// How often older revisions are let go.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(60);

/// How to open a store.
#[derive(Debug)]
pub struct Options {
    /// Its folder; made when it is not there.
    pub directory: PathBuf,
    pub clock: Clock,
    /// Encrypts the tables named in `secret_tables` on the disk.
    pub key: Option<SecretKey>,
    pub secret_tables: Vec<String>,
}

/// All tables by name, and the revision up to which they are published.
#[derive(Debug)]
pub(crate) struct Tables {
    by_name: ArcSwap<HashMap<Box<str>, Arc<Table>>>,
    revision: AtomicU64,
    /// The same for those who wait; reading it takes a lock, so whoever does not wait reads `revision`.
    reached: watch::Sender<u64>,
    /// Held while a table is added to `by_name`.
    adding: Mutex<()>,
    /// What the events of all tables hold.
    event_bytes: AtomicUsize,
    expiring: Expiring,
}

/// The store. Dropping the last handle ends the committer after the transactions that wait.
#[derive(Debug)]
pub struct Store {
    tables: Arc<Tables>,
    queue: mpsc::Sender<Work>,
    compacted: AtomicU64,
    health: Arc<Health>,
}

impl Tables {
    pub(crate) fn new(loaded: HashMap<String, TableState>, revision: u64) -> Self {
        let expiring = Expiring::new(&loaded);
        let event_bytes = loaded.values().map(TableState::log_bytes).sum();
        let by_name =
            loaded.into_iter().map(|(name, state)| (name.as_str().into(), Arc::new(Table::new(&name, state))));
        Self {
            by_name: ArcSwap::from_pointee(by_name.collect()),
            revision: AtomicU64::new(revision),
            reached: watch::Sender::new(revision),
            adding: Mutex::new(()),
            event_bytes: AtomicUsize::new(event_bytes),
            expiring,
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The table, made when it is not there: a table without objects is the same as none.
    pub(crate) fn table(&self, name: &str) -> Arc<Table> {
        if let Some(table) = self.by_name.load().get(name) {
            return table.clone();
        }
        let _adding = self.adding.lock();
        let mut all = HashMap::clone(&self.by_name.load());
        let table = all.entry(name.into()).or_insert_with(|| Arc::new(Table::new(name, TableState::default())));
        let table = table.clone();
        self.by_name.store(Arc::new(all));
        table
    }

    pub(crate) fn all(&self) -> Vec<Arc<Table>> {
        self.by_name.load().values().cloned().collect()
    }

    pub(crate) fn compact(&self, revision: u64) {
        for table in self.all() {
            let mut state = (*table.state()).clone();
            state.compact(revision);
            self.replace(&table, state);
        }
    }

    pub(crate) fn publish(&self, working: HashMap<Arc<str>, TableState>, revision: u64, expiring: Changes) {
        for (name, state) in working {
            self.replace(&self.table(&name), state);
        }
        self.bound_events(EVENT_BYTES_MAX);
        self.revision.store(revision, Ordering::Release);
        self.reached.send_replace(revision);
        self.expiring.apply(expiring);
    }

    /// Only the committer calls this, so nothing comes between the two loads and stores.
    fn replace(&self, table: &Table, state: TableState) {
        let others = self.event_bytes.load(Ordering::Relaxed) - table.state().log_bytes();
        self.event_bytes.store(others + state.log_bytes(), Ordering::Relaxed);
        table.publish(state);
    }

    fn bound_events(&self, bytes_max: usize) {
        while self.event_bytes.load(Ordering::Relaxed) > bytes_max {
            let Some(largest) = self.all().into_iter().max_by_key(|table| table.state().log_bytes()) else { return };
            let mut state = (*largest.state()).clone();
            state.trim_half();
            self.replace(&largest, state);
        }
    }
}

impl Store {
    /// Opens the store and reads everything into memory. Blocks; must be called within a tokio runtime, which does the
    /// housekeeping.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        let health = Arc::new(Health::new());
        let (engine, loaded) =
            engine::open(&options, Arc::new(SystemDisk::default()), Sizes::default(), health.clone())?;
        let (store, committer) = Self::over(loaded, engine, options.clock, health);
        let thread = std::thread::Builder::new().name("store-committer".to_owned());
        thread.spawn(move || committer.run()).map_err(OpenError::Thread)?;
        Ok(store)
    }

    /// Opens the store on a disk that a test has made and that does not block. A task of the runtime commits, as in
    /// [`Store::in_memory`].
    pub fn open_on(options: Options, disk: Arc<dyn Disk>, sizes: Sizes) -> Result<Arc<Self>, OpenError> {
        let health = Arc::new(Health::new());
        let (engine, loaded) = engine::open(&options, disk, sizes, health.clone())?;
        let (store, committer) = Self::over(loaded, engine, options.clock, health);
        tokio::spawn(committer.run_as_task());
        Ok(store)
    }

    /// Makes a store that keeps everything in memory alone, for tests. A task of the runtime commits, so that tokio's paused time
    /// stands still while somebody waits for a commit, and a single-threaded runtime does the same again with the same input.
    pub fn in_memory(clock: Clock) -> Arc<Self> {
        Self::in_memory_over(Loaded::default(), clock)
    }

    /// Makes a store in memory that begins with what is in this one now.
    pub fn fork_in_memory(&self, clock: Clock) -> Arc<Self> {
        let tables = self.tables().into_iter().map(|table| (table.name.to_string(), (*table.state()).clone()));
        Self::in_memory_over(Loaded { tables: tables.collect(), revision: self.revision() }, clock)
    }

    fn in_memory_over(loaded: Loaded, clock: Clock) -> Arc<Self> {
        let (store, committer) = Self::over(loaded, Box::new(engine::Memory), clock, Arc::new(Health::new()));
        tokio::spawn(committer.run_as_task());
        store
    }

    /// A store over what was loaded, and its committer.
    fn over(loaded: Loaded, engine: Box<dyn Engine>, clock: Clock, health: Arc<Health>) -> (Arc<Self>, Committer) {
        let tables = Arc::new(Tables::new(loaded.tables, loaded.revision));
        let (sender, queue) = mpsc::channel(committer::QUEUE_MAX);
        let store = Arc::new(Self {
            tables: tables.clone(),
            queue: sender,
            compacted: AtomicU64::new(0),
            health: health.clone(),
        });
        tokio::spawn(expiry::run(Arc::downgrade(&store), clock, tables.expiring.earliest()));
        tokio::spawn(compact_regularly(Arc::downgrade(&store)));
        (store, Committer { tables, engine, queue, health })
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

    /// Takes no more transactions and waits for those that are under way.
    pub async fn close(&self) {
        // A committer that has ended needs not be told.
        let _ = self.queue.send(Work::Close).await;
        self.queue.closed().await;
        let _ = self.health.ended().await;
    }
}

async fn compact_regularly(store: std::sync::Weak<Store>) {
    let mut past = VecDeque::new();
    loop {
        let Some(strong) = store.upgrade() else { return };
        let now = Instant::now();
        past.push_back((now, strong.revision()));
        while let Some((_, revision)) = past.pop_front_if(|(since, _)| now.duration_since(*since) >= PAST_KEPT) {
            strong.compact(revision).await;
        }
        drop(strong);
        tokio::time::sleep(COMPACTION_INTERVAL).await;
    }
}

/// What the engine found on the disk.
#[derive(Default)]
pub(crate) struct Loaded {
    pub tables: HashMap<String, TableState>,
    pub revision: u64,
}

impl Loaded {
    pub(crate) fn apply(&mut self, table: &str, item: Item, deleted: bool) {
        self.revision = self.revision.max(item.revision);
        if !self.tables.contains_key(table) {
            self.tables.insert(table.to_owned(), TableState::default());
        }
        if let Some(state) = self.tables.get_mut(table) {
            state.load(Arc::new(item), deleted);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windlass_machinery::json::Template;

    use super::*;

    #[test]
    fn the_table_with_most_events_gives_way() {
        let tables = Tables::new(HashMap::new(), 0);
        let mut revision = 0;
        for (name, count) in [("quiet", 10), ("busy", 300)] {
            let mut state = TableState::default();
            for _ in 0..count {
                revision += 1;
                state.apply(Arc::new(Item::new("a", &Template::new(&json!({})), revision, 1, 0)), false);
            }
            tables.publish(HashMap::from([(name.into(), state)]), revision, Changes::default());
        }
        let events = |name: &str| tables.table(name).state().events_after(0).map(Iterator::count);
        let bytes = || tables.all().iter().map(|table| table.state().log_bytes()).sum::<usize>();
        assert_eq!(tables.event_bytes.load(Ordering::Relaxed), bytes());
        let bytes_max = bytes() / 3;
        tables.bound_events(bytes_max);
        assert_eq!(tables.event_bytes.load(Ordering::Relaxed), bytes());
        assert!(bytes() <= bytes_max && bytes() > bytes_max / 4);
        assert_eq!(events("quiet"), Ok(10));
        assert!(matches!(events("busy"), Err(Expired::TooOld { asked: 0, .. })));
        assert_eq!(tables.table("busy").state().len(), 1);
    }
}
