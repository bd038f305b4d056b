//! One layer: digest of what came, decompression, digest of the tar, files; all in one pass over the stream.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use super::decompress::Decoder;
use super::extract::{ExtractError, Extractor, Limits, Written};
use crate::digest::{Digest, Hasher};
use crate::tar::TarReader;

/// Files of up to this size are read through one buffer.
const TAR_BUFFER_BYTES: usize = 64 << 10;

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("reading the layer")]
    Read(#[source] io::Error),
    #[error("failed to decompress the layer")]
    Decompress(#[source] io::Error),
    #[error("failed to extract the layer")]
    Extract(#[source] ExtractError),
    #[error("unexpected size of the layer: expected {expected} bytes, got {actual}")]
    Size { expected: u64, actual: u64 },
    #[error("unexpected commit digest {actual}, expected {expected}: failed precondition")]
    Digest { expected: Digest, actual: Digest },
    #[error("wrong diff id calculated on extraction {actual}, the image's configuration says {expected}")]
    DiffId { expected: Digest, actual: Digest },
}

impl UnpackError {
    /// The failure of the machine at the bottom, if it is one.
    pub(crate) fn io(&self) -> Option<&io::Error> {
        match self {
            Self::Read(source) | Self::Decompress(source) => Some(source),
            Self::Extract(ExtractError::File { source, .. }) => Some(source),
            _ => None,
        }
    }
}

/// What a layer became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Of the disk, in whole blocks.
    pub bytes: u64,
    pub inodes: u64,
    /// Directories that the archive uses without naming them, relative to the layer's root.
    pub implied: BTreeSet<PathBuf>,
}

/// Unpacks `stream` into the empty directory `root` and verifies it. `blob` is what the manifest says of the compressed
/// bytes, absent where a layer is known by its diff ID alone (Docker archives).
pub fn unpack(
    stream: impl Read,
    root: OwnedFd,
    blob: Option<(&Digest, u64)>,
    diff_id: &Digest,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let mut outer = Hashing::new(stream, blob.map(|(digest, _)| digest));
    let result = unpack_tar(&mut outer, root, diff_id, limits);
    if let Some(error) = outer.failure.take() {
        // The stream itself failed: whatever the layers above made of it is not the cause.
        return Err(UnpackError::Read(error));
    }
    // Damaged contents make all kinds of errors further up. That they are damaged is the one to tell, and to know that
    // the rest of the stream must be read.
    if let Some((expected, size)) = blob {
        io::copy(&mut outer, &mut io::sink()).map_err(UnpackError::Read)?;
        let Some(hasher) = outer.hasher else { return result.map(to_unpacked) };
        if hasher.bytes() != size {
            return Err(UnpackError::Size { expected: size, actual: hasher.bytes() });
        }
        let actual = hasher.finish();
        if actual != *expected {
            return Err(UnpackError::Digest { expected: expected.clone(), actual });
        }
    }
    result.map(to_unpacked)
}

fn to_unpacked(written: Written) -> Unpacked {
    Unpacked { bytes: written.bytes, inodes: written.inodes, implied: written.implied }
}

fn unpack_tar(stream: &mut impl Read, root: OwnedFd, diff_id: &Digest, limits: Limits) -> Result<Written, UnpackError> {
    let decoder = Decoder::new(stream).map_err(UnpackError::Decompress)?;
    let mut archive = TarReader::new(BufReader::with_capacity(TAR_BUFFER_BYTES, Hashing::new(decoder, Some(diff_id))));
    let written = Extractor::new(root, limits).run(&mut archive);
    let mut inner = archive.into_inner();
    if let Some(error) = inner.get_mut().failure.take() {
        return Err(UnpackError::Decompress(error));
    }
    let written = written.map_err(UnpackError::Extract)?;
    // What follows the end of the archive counts for the digest.
    io::copy(&mut inner, &mut io::sink()).map_err(UnpackError::Decompress)?;
    let mut hashing = inner.into_inner();
    hashing.inner.drain().map_err(UnpackError::Decompress)?;
    match hashing.hasher.map(Hasher::finish) {
        Some(actual) if actual != *diff_id => Err(UnpackError::DiffId { expected: diff_id.clone(), actual }),
        _ => Ok(written),
    }
}

/// Computes the digest of what passes and remembers how reading failed, which layers above only see through their own
/// errors.
struct Hashing<R> {
    inner: R,
    hasher: Option<Hasher>,
    failure: Option<io::Error>,
}

impl<R> Hashing<R> {
    fn new(inner: R, expected: Option<&Digest>) -> Self {
        Self { inner, hasher: expected.map(|digest| Hasher::new(digest.algorithm())), failure: None }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(read) => {
                if let Some(hasher) = &mut self.hasher {
                    hasher.update(&buffer[..read]);
                }
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.failure = Some(error);
                Err(copy)
            }
        }
    }
}
