//! What writable layers take of the disk.
//!
//! Counting walks the whole layer, so it happens on blocking threads, one or two at a time, and an answer is good for a while: who
//! asks again meanwhile gets the last one, who asks later gets it too and has a fresh count made.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use windlass_cri::FilesystemUsage;

use super::counts::{Counted, LayerUsage};
use crate::core::Core;

const GOOD_FOR: Duration = Duration::from_secs(10);
impl LayerUsage {
    pub(crate) fn forget(&self, container: &str) {
        self.counted.lock().remove(container);
    }

    /// What the layer of a container takes; `None` when it is gone. Waits only the first time.
    pub(super) async fn of(core: &Arc<Core>, container: &str) -> Option<FilesystemUsage> {
        let known = {
            let mut counted = core.layers.counted.lock();
            counted.get_mut(container).map(|known| {
                let stale = known.at.elapsed() > GOOD_FOR && !known.renewing;
                known.renewing |= stale;
                (known.usage.clone(), stale)
            })
        };
        match known {
            Some((usage, stale)) => {
                if stale {
                    let (core, container) = (core.clone(), container.to_owned());
                    tokio::spawn(async move { Self::count(&core, &container).await });
                }
                Some(usage)
            }
            None => Self::count(core, container).await,
        }
    }

    async fn count(core: &Arc<Core>, container: &str) -> Option<FilesystemUsage> {
        let permit = core.layers.walks.clone().acquire_owned().await.ok()?;
        let upper = core.container_directory(container).join("upper");
        let mountpoint = core.layout.root().to_string_lossy().into_owned();
        let timestamp = core.clock.now_nanos();
        let walked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            walk(&upper)
        });
        let Ok(Some((used_bytes, inodes_used))) = walked.await else {
            core.layers.forget(container);
            return None;
        };
        let usage = FilesystemUsage { timestamp, mountpoint, used_bytes, inodes_used };
        // Not for a container that was removed during the walk.
        if core.registry.container(container).is_some() {
            let counted = Counted { usage: usage.clone(), at: Instant::now(), renewing: false };
            core.layers.counted.lock().insert(container.to_owned(), counted);
        }
        Some(usage)
    }
}

/// Bytes on the disk and files of a directory's tree, each file once whatever its names.
fn walk(directory: &Path) -> Option<(u64, u64)> {
    let usage = windlass_tree::usage(directory).ok()?;
    Some((usage.bytes, usage.inodes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_once() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("d")).unwrap();
        std::fs::write(root.path().join("d/file"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(root.path().join("d/file"), root.path().join("again")).unwrap();
        let (bytes, inodes) = walk(root.path()).unwrap();
        assert_eq!(inodes, 3, "two directories and one file");
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        assert!(walk(&root.path().join("absent")).is_none());
    }
}
