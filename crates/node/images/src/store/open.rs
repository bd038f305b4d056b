//! The beginning and the end of a store.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, Mode};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::blobs::Blobs;
use super::core::{Core, ImageStore, State, StoreError, layer_path};
use super::durable::Scratch;
use super::index::Index;
use super::persist;
use crate::options::Options;
use crate::reference::Reference;
use crate::registry::Transport;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("failed to prepare the image store at {path:?}")]
    Prepare { path: PathBuf, source: io::Error },
    #[error("the image store at {0:?} is in use by another process")]
    Locked(PathBuf),
}

impl ImageStore {
    /// Opens the store at `options.root`, making it if there is none. What earlier processes left half-done is removed in the
    /// background. Must be called within a tokio runtime.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let opened = tokio::task::spawn_blocking(move || Core::open(options)).await;
        let (core, leftovers) = match opened {
            Ok(result) => result?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let core = Arc::new(core);
        persist::keep_on_disk(&core);
        if !leftovers.is_empty() {
            let core = core.clone();
            let tasks = core.tasks.clone();
            tasks.spawn_blocking(move || core.remove_discarded(&leftovers));
        }
        Ok(Self { core })
    }

    /// Forces everything to disk.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.core.sync().await.map_err(StoreError::Write)
    }

    /// An orderly end: waits for the work in the background and forces everything to disk. The directory is free for another
    /// store once the last clone and the last lease are gone.
    pub async fn close(self) -> Result<(), StoreError> {
        self.core.closing.cancel();
        self.core.tasks.close();
        self.core.tasks.wait().await;
        self.flush().await
    }
}

impl Core {
    fn open(options: Options) -> Result<(Self, Vec<OsString>), OpenError> {
        let root = options.root.clone();
        let prepare = |source| OpenError::Prepare { path: root.clone(), source };
        std::fs::create_dir_all(root.join("layers")).map_err(prepare)?;
        // Layers hold programs with setuid bits and secrets of images: nobody else looks in.
        rustix::fs::chmod(&root, Mode::RWXU).map_err(|e| prepare(e.into()))?;
        let lock = File::create(root.join("lock")).map_err(prepare)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::Locked(root)),
            other => other.map_err(|e| prepare(e.into()))?,
        }
        let scratch = Scratch::open(root.join("tmp")).map_err(prepare)?;
        let blobs = Blobs::open(root.join("blobs")).map_err(prepare)?;
        let boot_id = windlass_tree::boot_id().map_err(prepare)?;
        let index = adopt(&root, &boot_id, &scratch).map_err(prepare)?;
        blobs.retain(&index.blobs()).map_err(prepare)?;
        let leftovers = scratch.leftovers().map_err(prepare)?;
        let pinned = options.pinned_images.iter().filter_map(|name| name.parse::<Reference>().ok());
        let core = Self {
            registries: Arc::new(options.registries.clone()),
            transport: Arc::new(Transport::new(&options.registries.proxy, options.silence_max)),
            blobs,
            scratch,
            flights: Arc::default(),
            permits: Arc::new(Semaphore::new(options.parallel_layers.max(1))),
            state: Mutex::new(State {
                index,
                leases: HashMap::new(),
                handed_out: HashMap::new(),
                making: HashMap::new(),
            }),
            writing: Mutex::new(()),
            syncing: Mutex::new(()),
            unsynced: Arc::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            in_use: Mutex::new(None),
            collecting: tokio::sync::Mutex::new(()),
            pinned: pinned.map(|reference| reference.to_string()).collect(),
            _lock: lock,
            options,
        };
        Ok((core, leftovers))
    }
}

/// Reads the index and moves aside every layer that it does not vouch for.
fn adopt(root: &Path, boot_id: &str, scratch: &Scratch) -> io::Result<Index> {
    let mut index = persist::load(root, boot_id)?;
    let (distrusted, lost) = index.adopt(boot_id, |key| layer_path(root, key).is_dir());
    for id in &lost {
        tracing::warn!(image = %id, "forgot an image whose layers are incomplete");
    }
    for key in &distrusted {
        tracing::warn!(layer = %key, "dropped a layer that may not have reached the disk");
    }
    let known: HashSet<PathBuf> = index.layers().map(|(key, _)| layer_path(root, key)).collect();
    for entry in std::fs::read_dir(root.join("layers"))? {
        let path = entry?.path();
        if !known.contains(&path) {
            scratch.discard(&path)?;
        }
    }
    Ok(index)
}
