//! How an image store is set up.

use std::path::PathBuf;
use std::time::Duration;

use windlass_api::Chance;
use windlass_api::time::Clock;

use crate::platform::Platform;
use crate::registry::{Backoff, Registries};
use crate::unpack::Limits;

#[derive(Clone, Debug)]
pub struct Options {
    /// Everything is kept below this directory, which one store at a time may use. Its file system must hold device
    /// nodes and `trusted.` attributes, and be one that overlayfs takes for lower layers.
    pub root: PathBuf,
    pub registries: Registries,
    pub clock: Clock,
    /// Spreads clients of a registry that failed at the same time.
    pub chance: Chance,
    /// References that the kubelet's garbage collection must leave alone.
    pub pinned_images: Vec<String>,
    /// How many layers are downloaded and unpacked at the same time, over all pulls and imports.
    pub parallel_layers: usize,
    /// Bounds for one layer.
    pub limits: Limits,
    pub backoff: Backoff,
    /// How long a registry may be silent before the connection counts as broken.
    pub silence_max: Duration,
    /// How long the layers that [`windlass_cri::ImageSource::rootfs`] named are kept for a caller that has not yet said that
    /// it uses them.
    pub rootfs_grace: Duration,
    pub platform: Platform,
}

impl Options {
    pub fn new(root: impl Into<PathBuf>, clock: Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            root: root.into(),
            registries: Registries::default(),
            clock,
            chance: Chance::system(),
            pinned_images: Vec::new(),
            // containerd's default, or a layer for each core: a layer waits for the network some of the time.
            parallel_layers: cores.max(3),
            limits: Limits::default(),
            backoff: Backoff::default(),
            silence_max: Duration::from_secs(60),
            rootfs_grace: Duration::from_secs(600),
            platform: Platform::host(),
        }
    }
}
