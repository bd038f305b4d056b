//! The store's state: leases, looking up.
//!
//! All state is in memory behind one lock that is never held across I/O other than a rename; files follow the state (`persist`).

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_cri::ImageRootfs;

use super::blobs::Blobs;
use super::durable::Scratch;
use super::index::Index;
use crate::digest::Digest;
use crate::flights::Flights;
use crate::options::Options;
use crate::reference::ReferenceError;
use crate::registry::{Registries, Transport};

/// How many digits of a layer's digest name its directory: short paths let many layers fit into one mount call.
const LAYER_NAME_DIGITS: usize = 20;

/// Who knows which layers containers stand on.
#[async_trait]
pub trait LayersInUse: Send + Sync {
    /// The directories of all layers of all containers that exist, running or not, as
    /// [`windlass_cri::ImageRootfs::layers`] named them. Without a complete answer nothing may be removed: `Err`.
    async fn layers_in_use(&self) -> windlass_cri::Result<Vec<PathBuf>>;
}

/// Images on the node: pulls, imports, hands out and removes them. Clones share one store.
#[derive(Clone)]
pub struct ImageStore {
    pub(crate) core: Arc<Core>,
}

pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) registries: Arc<Registries>,
    pub(crate) transport: Arc<Transport>,
    pub(crate) blobs: Blobs,
    pub(crate) scratch: Scratch,
    pub(crate) flights: Arc<Flights>,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) state: Mutex<State>,
    /// One at a time writes the index.
    pub(crate) writing: Mutex<()>,
    /// One at a time forces it to disk.
    pub(crate) syncing: Mutex<()>,
    /// Something is not on disk yet.
    pub(crate) unsynced: Arc<Notify>,
    /// What runs in the background.
    pub(crate) tasks: TaskTracker,
    pub(crate) closing: CancellationToken,
    pub(crate) in_use: Mutex<Option<Weak<dyn LayersInUse>>>,
    /// One collection at a time.
    pub(crate) collecting: tokio::sync::Mutex<()>,
    pub(super) pinned: Vec<String>,
    /// Held for as long as the store is open.
    pub(super) _lock: File,
}

pub(crate) struct State {
    pub(crate) index: Index,
    /// How many leases each layer has.
    pub(super) leases: HashMap<Digest, usize>,
    /// When [`windlass_cri::ImageSource::rootfs`] last named a layer.
    pub(super) handed_out: HashMap<Digest, Timestamp>,
    /// One lock for each layer that is being made.
    pub(crate) making: HashMap<Digest, Weak<tokio::sync::Mutex<()>>>,
}

/// Failures of looking up, handing out and removing images.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("failed to parse image reference {text:?}")]
    Reference { text: String, source: ReferenceError },
    #[error("image {0:?}: not found")]
    NotFound(String),
    #[error("failed to write the image store's index")]
    Write(#[source] std::io::Error),
    #[error("failed to collect garbage")]
    Collect(#[source] std::io::Error),
}

impl ImageStore {
    /// The image's file system like [`windlass_cri::ImageSource::rootfs`], kept for as long as the lease lives.
    pub fn lease(&self, image: &str) -> Result<(ImageRootfs, Lease), StoreError> {
        let mut state = self.core.state.lock();
        let (rootfs, layers) = self.core.rootfs_locked(&state, image)?;
        for key in &layers {
            *state.leases.entry(key.clone()).or_default() += 1;
        }
        drop(state);
        Ok((rootfs, Lease { core: self.core.clone(), layers }))
    }

    /// Whom [`windlass_cri::ImageService::remove_image`] asks which layers are in use before it frees the disk. Until this
    /// is called, removed images are only freed by [`ImageStore::collect_garbage`].
    pub fn set_layers_in_use(&self, layers_in_use: &Arc<dyn LayersInUse>) {
        *self.core.in_use.lock() = Some(Arc::downgrade(layers_in_use));
    }
}

/// Keeps layers from being collected.
pub struct Lease {
    core: Arc<Core>,
    layers: Vec<Digest>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("layers", &self.layers).finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.core.state.lock();
        for key in &self.layers {
            if let Some(count) = state.leases.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    state.leases.remove(key);
                }
            }
        }
    }
}

impl Core {
    pub(crate) fn layer_path(&self, key: &Digest) -> PathBuf {
        layer_path(&self.options.root, key)
    }

    /// A lease on a layer that is complete.
    pub(crate) fn lease_layer(self: &Arc<Self>, key: &Digest) -> Option<Lease> {
        let mut state = self.state.lock();
        state.index.layer(key)?;
        *state.leases.entry(key.clone()).or_default() += 1;
        Some(Lease { core: self.clone(), layers: vec![key.clone()] })
    }

    /// The image's file system and the keys of its layers.
    fn rootfs_locked(&self, state: &State, image: &str) -> Result<(ImageRootfs, Vec<Digest>), StoreError> {
        let id = find(state, image)?.ok_or_else(|| StoreError::NotFound(image.to_owned()))?;
        let record = state.index.image(&id).ok_or_else(|| StoreError::NotFound(image.to_owned()))?;
        let rootfs = ImageRootfs {
            id: id.to_string(),
            image_ref: record.image_ref(&id, image.parse().ok().as_ref()),
            layers: record.layers.iter().map(|key| self.layer_path(key)).collect(),
            config: record.run.clone().into(),
        };
        Ok((rootfs, record.layers.clone()))
    }

    pub(crate) fn rootfs(&self, image: &str) -> Result<ImageRootfs, StoreError> {
        let now = self.options.clock.now();
        let mut state = self.state.lock();
        let (rootfs, layers) = self.rootfs_locked(&state, image)?;
        for key in layers {
            state.handed_out.insert(key, now);
        }
        Ok(rootfs)
    }

    /// Whether a layer must stay although no image has it.
    pub(crate) fn is_held(&self, state: &mut State, key: &Digest, now: Timestamp) -> bool {
        let grace = self.options.rootfs_grace;
        state.handed_out.retain(|_, at| now.duration_since(*at).unsigned_abs() < grace);
        state.leases.contains_key(key) || state.handed_out.contains_key(key)
    }

    pub(crate) fn is_pinned(&self, tags: &std::collections::BTreeSet<String>) -> bool {
        self.pinned.iter().any(|name| tags.contains(name))
    }

    pub(crate) fn remove_discarded(&self, names: &[std::ffi::OsString]) {
        for name in names {
            if let Err(error) = self.scratch.remove(name) {
                tracing::warn!(path = %self.options.root.join("tmp").join(name).display(), %error, "failed to remove");
            }
        }
    }
}

/// The image that `text` names.
pub(crate) fn find(state: &State, text: &str) -> Result<Option<Digest>, StoreError> {
    state.index.find(text).map_err(|source| StoreError::Reference { text: text.to_owned(), source })
}

pub(super) fn layer_path(root: &Path, key: &Digest) -> PathBuf {
    root.join("layers").join(&key.hex()[..LAYER_NAME_DIGITS])
}
