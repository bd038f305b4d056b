//! What writable layers take of the disk.
//!
//! Counting walks the whole layer, which its container may have made as large as it could: it is done in the background, and who asks
//! waits no longer than for a small one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use windlass_cri::FilesystemUsage;
use windlass_tree::Meter;

use crate::container::Container;
use crate::core::Core;

const GOOD_FOR: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_millis(500);

/// Counts layers.
pub(crate) fn meter() -> Meter {
    Meter::new(GOOD_FOR)
}

/// What the layers of containers take, in their order; `None` for one that is gone.
pub(super) async fn of(core: &Core, containers: &[Arc<Container>]) -> Vec<Option<FilesystemUsage>> {
    let layers: Vec<PathBuf> =
        containers.iter().map(|container| core.container_directory(&container.id).join("upper")).collect();
    let meter = core.layers.clone();
    let count = move || {
        meter.refresh(&layers, PATIENCE);
        layers.iter().map(|layer| meter.usage(layer)).collect::<Vec<_>>()
    };
    let Ok(counted) = tokio::task::spawn_blocking(count).await else { return vec![None; containers.len()] };
    let mountpoint = core.layout.root().to_string_lossy();
    let timestamp = core.clock.now_nanos();
    let shown = |usage: windlass_tree::Usage| FilesystemUsage {
        timestamp,
        mountpoint: mountpoint.to_string(),
        used_bytes: usage.bytes,
        inodes_used: usage.inodes,
    };
    counted.into_iter().map(|usage| usage.map(shown)).collect()
}
