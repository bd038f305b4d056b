//! What writable layers take of the disk.
//!
//! Counting walks the whole layer, which its container may have made as large as it could: it is done in the background, and who asks
//! waits no longer than for a small one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use windlass_cri::{DiskUsage, FilesystemUsage};
use windlass_tree::{Meter, Usage};

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
    counted.into_iter().map(|usage| usage.map(|usage| shown(core, usage))).collect()
}

fn shown(core: &Core, usage: Usage) -> FilesystemUsage {
    FilesystemUsage {
        timestamp: core.clock.now_nanos(),
        mountpoint: core.layout.root().to_string_lossy().into_owned(),
        used_bytes: usage.bytes,
        inodes_used: usage.inodes,
    }
}

/// What all containers, and the files that sandboxes lend to them, take.
pub(crate) async fn disk_usage(core: &Arc<Core>) -> DiskUsage {
    let containers = core.registry.containers();
    let layers = of(core, &containers).await;
    let layers = containers.iter().zip(layers).filter_map(|(container, layer)| Some((container.id.clone(), layer?)));
    let sandboxes = core.registry.sandboxes().into_iter().map(|sandbox| {
        let layout = core.layout.sandbox(&sandbox.id);
        let files = [layout.hostname(), layout.resolv_conf()].iter().map(|path| of_file(path)).sum();
        (sandbox.id.clone(), shown(core, files))
    });
    DiskUsage { layers: layers.collect(), sandboxes: sandboxes.collect() }
}

fn of_file(path: &Path) -> Usage {
    let metadata = std::fs::symlink_metadata(path);
    metadata.map_or(Usage::default(), |metadata| Usage { bytes: metadata.blocks() * 512, inodes: 1 })
}
