//! Freeing what no image needs any more.
//!
//! A layer goes when no image has it, no lease holds it, nobody was given it just now, and the runtime does not use it: a
//! container keeps its layers when its image has been removed.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use windlass_api::text::with_causes;

use super::core::{Core, ImageStore, StoreError};
use super::persist::blocking;

/// What a collection freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    pub layers: u64,
    /// Of the disk, as counted when the layers were unpacked.
    pub bytes: u64,
}

impl ImageStore {
    /// Removes what no image needs, except layers in use: those of containers (`in_use`), those leased, those of running
    /// pulls, and those handed out a short while ago.
    pub async fn collect_garbage(&self, in_use: impl IntoIterator<Item = PathBuf>) -> Result<Reclaimed, StoreError> {
        self.core.collect(in_use.into_iter().collect()).await
    }
}

impl Core {
    pub(crate) async fn collect(self: &Arc<Self>, in_use: HashSet<PathBuf>) -> Result<Reclaimed, StoreError> {
        let _collecting = self.collecting.lock().await;
        let core = self.clone();
        let (reclaimed, discarded) = blocking(move || core.discard_unused(&in_use)).await?;
        // On a full disk the index is written when there is room again. Until then it lists layers that are gone, and whoever reads it
        // forgets them.
        let written = if reclaimed.layers > 0 { self.persist().await } else { Ok(()) };
        let core = self.clone();
        blocking(move || {
            core.remove_discarded(&discarded);
            // An image that is added meanwhile is listed before its documents are written.
            let keep = core.state.lock().index.blobs();
            core.blobs.retain(&keep).map_err(StoreError::Collect)
        })
        .await?;
        if written.is_err() {
            self.persist().await.map_err(StoreError::Write)?;
        }
        Ok(reclaimed)
    }

    /// Takes unused layers out of the index and out of their places, which is quick; what they hold is removed later.
    fn discard_unused(&self, in_use: &HashSet<PathBuf>) -> Result<(Reclaimed, Vec<std::ffi::OsString>), StoreError> {
        let now = self.options.clock.now();
        let mut reclaimed = Reclaimed::default();
        let mut discarded = Vec::new();
        let mut state = self.state.lock();
        for key in state.index.unreferenced_layers() {
            let place = self.layer_path(&key);
            if self.is_held(&mut state, &key, now) || in_use.contains(&place) {
                continue;
            }
            let aside = self.scratch.discard(&place).map_err(StoreError::Collect)?;
            reclaimed.layers += 1;
            reclaimed.bytes += state.index.layer(&key).map_or(0, |layer| layer.bytes);
            state.index.remove_layer(&key);
            discarded.extend(aside.file_name().map(ToOwned::to_owned));
        }
        Ok((reclaimed, discarded))
    }

    /// After an image was removed: frees the disk in the background if somebody can say what is in use.
    pub(crate) fn collect_soon(self: &Arc<Self>) {
        let Some(in_use) = self.in_use.lock().as_ref().and_then(std::sync::Weak::upgrade) else { return };
        let core = self.clone();
        self.tasks.spawn(async move {
            let in_use = match in_use.layers_in_use().await {
                Ok(paths) => paths.into_iter().collect(),
                Err(error) => {
                    tracing::warn!(%error, "images are not collected: the layers in use are not known");
                    return;
                }
            };
            match core.collect(in_use).await {
                Ok(Reclaimed { layers: 0, .. }) => {}
                Ok(Reclaimed { layers, bytes }) => tracing::info!(layers, bytes, "collected layers of removed images"),
                Err(error) => tracing::warn!(error = %with_causes(&error), "failed to collect layers"),
            }
        });
    }
}
