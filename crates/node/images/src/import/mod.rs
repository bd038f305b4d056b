//! Importing images from archives: OCI layouts in a tar, and what `docker save` writes; compressed or not.
//!
//! An archive has its table of contents anywhere, often at the end, so it is read by position: a plain tar file as it is, a
//! compressed one or a stream after it was written to an unnamed file in the store.

mod archive;
mod docker;
mod error;
mod oci;
mod source;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use windlass_cri::ProgressSink;

use self::archive::Archive;
pub use self::error::ImportError;
use crate::digest::Digest;
use crate::manifest::{CONFIG_BYTES_MAX, ImageConfig};
use crate::progress::Progress;
use crate::pull::ImageError;
use crate::store::{Core, ImageRecord, ImageStore, LayerSource};

/// An image that an archive brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// `sha256:…`
    pub id: String,
    /// The tags that it has from this archive; none if the archive names none.
    pub references: Vec<String>,
}

/// An image of an archive, before its layers are read.
struct Candidate {
    id: Digest,
    config: ImageConfig,
    record: ImageRecord,
    layers: Vec<Layer>,
    blobs: Vec<(Digest, bytes::Bytes)>,
}

struct Layer {
    offset: u64,
    size: u64,
    /// Of the stored bytes, where the archive tells.
    digest: Option<Digest>,
}

impl ImageStore {
    /// Imports every image of the archive at `path` that is for this machine. When this returns they are on disk.
    pub async fn import(&self, path: &Path, progress: Option<ProgressSink>) -> Result<Vec<Imported>, ImportError> {
        let (core, path) = (self.core.clone(), path.to_owned());
        let file = blocking(move || source::open(&core, &path)).await?;
        self.import_file(file, progress).await
    }

    async fn import_file(&self, file: std::fs::File, sink: Option<ProgressSink>) -> Result<Vec<Imported>, ImportError> {
        let core = self.core.clone();
        let file = Arc::new(file);
        let reading = file.clone();
        let candidates = blocking(move || core.read_candidates(Archive::scan(reading)?)).await?;
        let progress = Progress::default();
        if let Some(sink) = sink {
            progress.tell(sink);
        }
        let layers = candidates.iter().map(|candidate| candidate.layers.len()).sum::<usize>();
        let bytes = candidates.iter().flat_map(|candidate| &candidate.layers).map(|layer| layer.size).sum();
        progress.expect(u32::try_from(layers).unwrap_or(u32::MAX), bytes);
        let mut imported = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let id = candidate.id.to_string();
            let references = candidate.record.tags.iter().cloned().collect();
            self.core
                .import_candidate(candidate, &file, &progress)
                .await
                .map_err(|error| ImportError::Image(Box::new(error)))?;
            imported.push(Imported { id, references });
        }
        self.core.sync().await.map_err(|source| ImportError::Image(Box::new(ImageError::Store(source))))?;
        Ok(imported)
    }
}

impl Core {
    fn read_candidates(&self, archive: Archive) -> Result<Vec<Candidate>, ImportError> {
        if archive.has("index.json") {
            oci::candidates(self, &archive)
        } else if archive.has("manifest.json") {
            docker::candidates(self, &archive)
        } else {
            Err(ImportError::NotAnImage)
        }
    }

    async fn import_candidate(
        self: &Arc<Self>,
        candidate: Candidate,
        file: &Arc<std::fs::File>,
        progress: &Progress,
    ) -> Result<(), ImageError> {
        let Candidate { id, config, record, layers, blobs } = candidate;
        let diff_ids =
            config.diff_ids(layers.len()).map_err(|source| ImageError::Document { digest: id.clone(), source })?;
        let mut seen = BTreeSet::new();
        let making = diff_ids.iter().zip(layers).filter(|(diff_id, layer)| {
            let first = seen.insert(*diff_id);
            if !first {
                progress.skip(layer.size);
            }
            first
        });
        let making = making.map(|(diff_id, Layer { offset, size, digest })| {
            let source = LayerSource::File { file: file.clone(), offset, size, blob: digest };
            self.ensure_layer(diff_id, source, progress)
        });
        // All of them end before an error is told, so that nothing is left behind by then.
        let leases: Result<Vec<_>, _> = join_all(making).await.into_iter().collect();
        let leases = leases.map_err(ImageError::Layer)?;
        self.list_image(&id, record, diff_ids, blobs).await?;
        drop(leases);
        Ok(())
    }
}

/// Reads and checks an image's configuration.
fn read_config(core: &Core, archive: &Archive, path: &str) -> Result<(Digest, ImageConfig, Vec<u8>), ImportError> {
    let bytes = archive.read(path, CONFIG_BYTES_MAX)?;
    let id = Digest::of(&bytes);
    let config = core.parse_config(&id, &bytes).map_err(|error| ImportError::Image(Box::new(error)))?;
    Ok((id, config, bytes))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
