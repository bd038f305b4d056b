//! Making layers: each one once, whoever asks for it.
//!
//! A layer is known by its diff ID, the digest of its uncompressed tar, and so shared by all images that have it, however it
//! was compressed. It is unpacked into a temporary directory and moved to its place in one step; the index lists it from
//! then on. While it is made, others who want it wait; should the maker be cancelled, the next one begins anew.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc};
use windlass_api::text::with_causes;

use super::core::{Core, Lease};
use super::durable::TemporaryDirectory;
use super::index::LayerRecord;
use super::persist::blocking;
use crate::digest::Digest;
use crate::manifest::Descriptor;
use crate::progress::{Counted, Progress};
use crate::registry::{BlobStream, RegistryError, Repository};
use crate::unpack::{self, ExtractError, FixupError, UnpackError, Unpacked};
use windlass_api::io::is_full;

/// How many pieces of a download wait for the unpacking; a piece is what one read of the connection gave.
const PIECES_MAX: usize = 4;

#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    #[error("failed to copy layer {digest}")]
    Fetch { digest: Digest, source: RegistryError },
    #[error("failed to extract layer {digest}")]
    Unpack { digest: Digest, source: UnpackError },
    #[error("failed to prepare a directory for layer {digest}")]
    Directory { digest: Digest, source: io::Error },
    #[error("failed to combine layer {digest} with those below")]
    Fixup { digest: Digest, source: FixupError },
}

/// Where a layer's bytes come from.
pub(crate) enum LayerSource<'a> {
    Registry {
        repository: &'a Repository,
        blob: &'a Descriptor,
    },
    /// A part of an archive on disk; `blob` is the digest that its index gives, absent in Docker's archives.
    File {
        file: Arc<std::fs::File>,
        offset: u64,
        size: u64,
        blob: Option<Digest>,
    },
}

impl Core {
    /// Makes sure that a layer is there, and that it stays for as long as the lease lives.
    pub(crate) async fn ensure_layer(
        self: &Arc<Self>,
        diff_id: &Digest,
        source: LayerSource<'_>,
        progress: &Progress,
    ) -> Result<Lease, LayerError> {
        let making = self.lock_layer(diff_id).await;
        if let Some(lease) = self.lease_layer(diff_id) {
            progress.skip(source.size());
            return Ok(lease);
        }
        let permit = self.permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        let job = Job { core: self.clone(), diff_id: diff_id.clone(), _making: making, _permit: permit };
        let (job, directory, unpacked) = match source {
            LayerSource::Registry { repository, blob } => job.download(repository, blob, progress).await?,
            LayerSource::File { file, offset, size, blob } => {
                let reader = Section { file, offset, left: size, progress: progress.clone() };
                let blob = blob.map(|digest| (digest, size));
                let (job, result) = job.unpack(reader, blob).await;
                let (directory, unpacked) = result?;
                (job, directory, unpacked)
            }
        };
        let lease = job.publish(directory, unpacked).await?;
        progress.layer_done();
        Ok(lease)
    }

    /// Puts fixup layers above those layers whose implied directories look different below. Returns the chain of keys, lowest
    /// first, and leases on the fixups.
    pub(crate) async fn complete_chain(
        self: &Arc<Self>,
        diff_ids: &[Digest],
    ) -> Result<(Vec<Digest>, Vec<Lease>), LayerError> {
        let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
        let mut leases = Vec::new();
        for diff_id in diff_ids {
            let implied = self.state.lock().index.layer(diff_id).map(|l| l.implied.clone()).unwrap_or_default();
            let below: Vec<PathBuf> = chain.iter().map(|key| self.layer_path(key)).collect();
            chain.push(diff_id.clone());
            if implied.is_empty() || below.is_empty() {
                continue;
            }
            let key = fixup_key(&chain);
            let making = self.lock_layer(&key).await;
            if let Some(lease) = self.lease_layer(&key) {
                leases.push(lease);
                chain.push(key);
                continue;
            }
            let (core, digest, layer) = (self.clone(), diff_id.clone(), self.layer_path(diff_id));
            let made = blocking(move || {
                let fail = |source| LayerError::Directory { digest: digest.clone(), source };
                let directory = TemporaryDirectory::create(&core.scratch, "fixup").map_err(fail)?;
                let implied = implied.into_iter().map(PathBuf::from).collect();
                let made = unpack::repair_implied_directories(&below, &layer, &implied, directory.path())
                    .map_err(|source| LayerError::Fixup { digest: digest.clone(), source })?;
                Ok((directory, made, making))
            });
            let (directory, made, making) = made.await?;
            if made > 0 {
                let record = LayerRecord { bytes: made as u64 * 4096, inodes: made as u64, ..LayerRecord::default() };
                let core = self.clone();
                let published = {
                    let key = key.clone();
                    blocking(move || core.publish_layer(&key, directory, record)).await
                };
                leases.push(published.map_err(|source| LayerError::Directory { digest: diff_id.clone(), source })?);
                chain.push(key);
            }
            drop(making);
        }
        Ok((chain, leases))
    }

    async fn lock_layer(&self, key: &Digest) -> OwnedMutexGuard<()> {
        let lock = {
            let mut state = self.state.lock();
            state.making.retain(|_, lock| lock.strong_count() > 0);
            let known = state.making.get(key).and_then(std::sync::Weak::upgrade);
            known.unwrap_or_else(|| {
                let lock = Arc::new(tokio::sync::Mutex::new(()));
                state.making.insert(key.clone(), Arc::downgrade(&lock));
                lock
            })
        };
        lock.lock_owned().await
    }

    /// Moves a finished directory to its place and lists it.
    fn publish_layer(
        self: &Arc<Self>,
        key: &Digest,
        directory: TemporaryDirectory,
        record: LayerRecord,
    ) -> io::Result<Lease> {
        let place = self.layer_path(key);
        let mut state = self.state.lock();
        directory.keep_as(&place)?;
        state.index.add_layer(key.clone(), record);
        drop(state);
        Ok(self.lease_layer(key).expect("it was just listed, and collecting it takes the collector's lock"))
    }
}

/// Names the fixup above a chain of layers.
fn fixup_key(chain: &[Digest]) -> Digest {
    let mut text = String::from("windlass fixup layer\n");
    for key in chain {
        text.push_str(key.as_str());
        text.push('\n');
    }
    Digest::of(text.as_bytes())
}

/// One layer in the making, with the right to make it. It moves to the blocking thread and back, so that the right is not
/// given up before a cancelled thread has cleaned up.
struct Job {
    core: Arc<Core>,
    diff_id: Digest,
    _making: OwnedMutexGuard<()>,
    _permit: OwnedSemaphorePermit,
}

type Finished = (TemporaryDirectory, Unpacked);

impl Job {
    /// Downloads and unpacks at the same time. Contents that turn out wrong are asked of the next endpoint.
    async fn download(
        mut self,
        repository: &Repository,
        blob: &Descriptor,
        progress: &Progress,
    ) -> Result<(Self, TemporaryDirectory, Unpacked), LayerError> {
        let mut first_endpoint = 0;
        loop {
            let mut stream = repository.blob_stream(blob, first_endpoint);
            let (pieces, reader) = mpsc::channel(PIECES_MAX);
            let counted = progress.begin();
            let unpacking =
                self.unpack(Pieces { pieces: reader, current: Bytes::new() }, Some((blob.digest.clone(), blob.size)));
            let feeding = feed(&mut stream, pieces, &counted);
            let ((job, result), fed) = futures::join!(unpacking, feeding);
            let endpoint = stream.endpoint();
            self = job;
            fed.map_err(|source| LayerError::Fetch { digest: blob.digest.clone(), source })?;
            match result {
                Err(error) if error.is_wrong_content() && endpoint + 1 < repository.endpoints() => {
                    tracing::warn!(error = %with_causes(&error), "trying next host");
                    first_endpoint = endpoint + 1;
                    counted.undo();
                }
                other => {
                    let (directory, unpacked) = other?;
                    return Ok((self, directory, unpacked));
                }
            }
        }
    }

    async fn unpack(
        self,
        stream: impl Read + Send + 'static,
        blob: Option<(Digest, u64)>,
    ) -> (Self, Result<Finished, LayerError>) {
        // Tracked, for a cancelled pull does not wait for it and a store that closes does.
        let tasks = self.core.tasks.clone();
        let unpacking = tasks.spawn_blocking(move || {
            let result = self.unpack_now(stream, blob.as_ref());
            (self, result)
        });
        match unpacking.await {
            Ok(finished) => finished,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn unpack_now(&self, stream: impl Read + Send, blob: Option<&(Digest, u64)>) -> Result<Finished, LayerError> {
        let digest = blob.map_or(&self.diff_id, |(digest, _)| digest);
        let fail = |source| LayerError::Directory { digest: digest.clone(), source };
        let directory = TemporaryDirectory::create(&self.core.scratch, "layer").map_err(fail)?;
        let root = directory.open().map_err(fail)?;
        let blob = blob.map(|(digest, size)| (digest, *size));
        let unpacked = unpack::unpack(stream, root, blob, &self.diff_id, self.core.options.limits)
            .map_err(|source| LayerError::Unpack { digest: digest.clone(), source })?;
        Ok((directory, unpacked))
    }

    async fn publish(self, directory: TemporaryDirectory, unpacked: Unpacked) -> Result<Lease, LayerError> {
        let record = LayerRecord {
            bytes: unpacked.bytes,
            inodes: unpacked.inodes,
            implied: unpacked.implied.into_iter().map(PathBuf::into_os_string).collect(),
            synced: false,
        };
        blocking(move || {
            let fail = |source| LayerError::Directory { digest: self.diff_id.clone(), source };
            self.core.publish_layer(&self.diff_id, directory, record).map_err(fail)
        })
        .await
    }
}

/// Passes a download on to the unpacking; it ends early when the unpacking does.
async fn feed(
    stream: &mut BlobStream<'_>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    counted: &Counted,
) -> Result<(), RegistryError> {
    loop {
        match stream.next().await {
            Ok(Some(piece)) => {
                counted.add(piece.len() as u64);
                if pieces.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(error) => {
                // The unpacking must not take the end of the channel for the end of the layer.
                let _ = pieces.send(Err(io::Error::other("the download failed"))).await;
                return Err(error);
            }
        }
    }
}

impl LayerError {
    /// The bytes were not those that the manifest promised: another endpoint may have them.
    fn is_wrong_content(&self) -> bool {
        matches!(self, Self::Unpack { source: UnpackError::Digest { .. } | UnpackError::Size { .. }, .. })
    }

    pub(crate) fn code(&self) -> windlass_cri::Code {
        use windlass_cri::Code;
        let io = |error: &io::Error| if is_full(error) { Code::ResourceExhausted } else { Code::Internal };
        match self {
            Self::Fetch { source, .. } => source.code(),
            Self::Directory { source, .. } => io(source),
            Self::Fixup { source, .. } => io(&source.source),
            Self::Unpack { source: UnpackError::Extract(ExtractError::Room(_)), .. } => Code::ResourceExhausted,
            Self::Unpack { source, .. } => source.io().map_or(Code::Internal, io),
        }
    }
}

impl LayerSource<'_> {
    fn size(&self) -> u64 {
        match self {
            Self::Registry { blob, .. } => blob.size,
            Self::File { size, .. } => *size,
        }
    }
}

/// A download as a blocking reader.
struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.current = piece?,
            }
        }
        let read = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}

/// A part of a file.
struct Section {
    file: Arc<std::fs::File>,
    offset: u64,
    left: u64,
    progress: Progress,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..want], self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        self.progress.add(read as u64);
        Ok(read)
    }
}
