//! Counts of what writable layers take of the disk, kept for a while.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use windlass_cri::FilesystemUsage;

const WALKS_MAX: usize = 2;

#[derive(Clone)]
pub(super) struct Counted {
    pub(super) usage: FilesystemUsage,
    pub(super) at: Instant,
    /// A fresh count is on its way.
    pub(super) renewing: bool,
}

/// What writable layers took when they were last counted.
pub(crate) struct LayerUsage {
    pub(super) counted: Mutex<HashMap<String, Counted>>,
    pub(super) walks: Arc<Semaphore>,
}

impl Default for LayerUsage {
    fn default() -> Self {
        Self { counted: Mutex::default(), walks: Arc::new(Semaphore::new(WALKS_MAX)) }
    }
}
