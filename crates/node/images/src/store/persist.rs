//! Bringing the index to disk, cheaply.
//!
//! A change is first written without waiting for the disk (`index.boot.json`): that survives a crash of this process, and
//! after a restart of the machine nobody believes it. In the background everything unpacked so far is then forced to disk in
//! one go, and only after that the index which vouches for it (`index.json`).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Weak};

use windlass_tree::{Loss, replace};

use super::core::Core;
use super::index::Index;

const DURABLE: &str = "index.json";
const UNTIL_RESTART: &str = "index.boot.json";

/// The newest index that can be believed, or an empty one.
pub(super) fn load(root: &Path, boot_id: &str) -> io::Result<Index> {
    let read = |name: &str| match std::fs::read(root.join(name)) {
        Ok(bytes) => {
            let index = Index::parse(&bytes);
            if index.is_none() && name == DURABLE {
                tracing::warn!(path = %root.join(name).display(), "the image index is damaged, its images are lost");
            }
            Ok(index)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let durable = read(DURABLE)?;
    let recent = read(UNTIL_RESTART)?.filter(|index| index.boot_id == boot_id);
    Ok(match (durable, recent) {
        (Some(durable), Some(recent)) if recent.generation < durable.generation => durable,
        (_, Some(recent)) => recent,
        (Some(durable), None) => durable,
        (None, None) => Index::new(boot_id.to_owned()),
    })
}

impl Core {
    /// Writes the index so that a crash of this process loses nothing; the disk follows in the background.
    pub(crate) async fn persist(self: &Arc<Self>) -> io::Result<()> {
        let core = self.clone();
        let written = blocking(move || {
            let _writing = core.writing.lock();
            let bytes = core.state.lock().index.to_json();
            replace(&core.options.root.join(UNTIL_RESTART), &bytes, 0o644, Loss::Bearable)
        })
        .await;
        self.unsynced.notify_one();
        written
    }

    /// Forces layers and index to disk.
    pub(crate) async fn sync(self: &Arc<Self>) -> io::Result<()> {
        let core = self.clone();
        blocking(move || core.sync_now()).await
    }

    fn sync_now(&self) -> io::Result<()> {
        // Waiting for the disk must not keep others from writing their changes.
        let _syncing = self.syncing.lock();
        let layers = self.state.lock().index.unsynced();
        if !layers.is_empty() {
            rustix::fs::syncfs(File::open(&self.options.root)?)?;
        }
        let bytes = {
            let mut state = self.state.lock();
            state.index.mark_synced(&layers);
            state.index.to_json()
        };
        replace(&self.options.root.join(DURABLE), &bytes, 0o644, Loss::Unbearable)
    }
}

/// Runs until the store is closed or gone; dropping it notifies one last time.
pub(super) fn keep_on_disk(core: &Arc<Core>) {
    let (unsynced, closing) = (core.unsynced.clone(), core.closing.clone());
    let weak: Weak<Core> = Arc::downgrade(core);
    core.tasks.spawn(async move {
        loop {
            tokio::select! {
                () = unsynced.notified() => {}
                () = closing.cancelled() => return,
            }
            let Some(core) = weak.upgrade() else { return };
            if let Err(error) = core.sync().await {
                tracing::error!(%error, "failed to force images to disk");
            }
        }
    });
}

impl Drop for Core {
    fn drop(&mut self) {
        self.unsynced.notify_one();
    }
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        // Blocking tasks are never aborted.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
