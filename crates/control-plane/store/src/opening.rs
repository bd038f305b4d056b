//! How a store begins: what the disk has is read, and its committer and its housekeeping start.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use windlass_api::time::Clock;

use crate::committer::{self, Committer};
use crate::encryption::Encryption;
use crate::engine::{self, Disk, Engine, Home, Loaded, OpenError, Sizes, SystemDisk};
use crate::expiry;
use crate::health::Health;
use crate::store::Store;
use crate::tables::Tables;

/// What happened longer ago may be forgotten. (kube-apiserver compacts etcd every five minutes to where it was five minutes before,
/// so that between five and ten minutes are kept.)
const PAST_KEPT: Duration = Duration::from_secs(300);
/// How often older revisions are let go.
const COMPACTION_INTERVAL: Duration = Duration::from_secs(60);

/// How to open a store.
#[derive(Debug)]
pub struct Options {
    /// Its folder; made when it is not there.
    pub directory: PathBuf,
    pub clock: Clock,
    /// In what form values stand on the disk.
    pub encryption: Arc<dyn Encryption>,
}

impl Store {
    /// Opens the store and reads everything into memory. Blocks; must be called within a tokio runtime, which does the
    /// housekeeping.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        let (store, committer) = Self::over_disk(options, Arc::new(SystemDisk::default()), Sizes::default())?;
        let thread = std::thread::Builder::new().name("store-committer".to_owned());
        thread.spawn(move || committer.run()).map_err(OpenError::Thread)?;
        Ok(store)
    }

    /// Opens the store on a disk that a test has made and that does not block. A task of the runtime commits, as in
    /// [`Store::in_memory`].
    pub fn open_on(options: Options, disk: Arc<dyn Disk>, sizes: Sizes) -> Result<Arc<Self>, OpenError> {
        let (store, committer) = Self::over_disk(options, disk, sizes)?;
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
        Self::in_memory_over(Loaded::new(tables.collect(), self.revision()), clock)
    }

    fn in_memory_over(loaded: Loaded, clock: Clock) -> Arc<Self> {
        let (store, committer) = Self::over(loaded, Box::new(engine::Memory), clock, Arc::new(Health::new()));
        tokio::spawn(committer.run_as_task());
        store
    }

    fn over_disk(options: Options, disk: Arc<dyn Disk>, sizes: Sizes) -> Result<(Arc<Self>, Committer), OpenError> {
        let Options { directory, clock, encryption } = options;
        let health = Arc::new(Health::new());
        let (engine, loaded) = engine::open(Home { disk, directory, encryption, sizes, health: health.clone() })?;
        Ok(Self::over(loaded, engine, clock, health))
    }

    /// A store over what was loaded, and its committer.
    fn over(loaded: Loaded, engine: Box<dyn Engine>, clock: Clock, health: Arc<Health>) -> (Arc<Self>, Committer) {
        let tables = Arc::new(Tables::new(loaded.tables, loaded.revision));
        let (sender, queue) = mpsc::channel(committer::QUEUE_MAX);
        let store = Arc::new(Self::new(tables.clone(), sender, health.clone()));
        tokio::spawn(expiry::run(Arc::downgrade(&store), clock, tables.expiring.earliest()));
        tokio::spawn(compact_regularly(Arc::downgrade(&store)));
        (store, Committer { tables, engine, queue, health })
    }
}

async fn compact_regularly(store: Weak<Store>) {
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
