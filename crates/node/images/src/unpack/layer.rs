//! One layer: digest of what came, decompression, digest of the tar, files; all in one pass over the stream.
//!
//! Decompressing and writing files take about as long, so they run beside each other: one thread decompresses and hashes,
//! the other reads the tar, and a few buffers go round between them.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::decompress::Decoder;
use super::extract::{ExtractError, Extractor, Limits, Written};
use crate::digest::{Digest, Hasher};
use crate::tar::TarReader;

const BUFFER_BYTES: usize = 128 << 10;
/// How many buffers wait for the files to be written.
const BUFFERS_MAX: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("reading the layer")]
    Read(#[source] io::Error),
    #[error("failed to decompress the layer")]
    Decompress(#[source] io::Error),
    #[error("failed to extract the layer")]
    Extract(#[source] ExtractError),
    #[error(
        "the layer unpacks to more than {max} bytes, {ratio} times its compressed size, as decompression bombs do: pull it from a source \
         that you trust, or have the image made of smaller layers"
    )]
    Ratio { max: u64, ratio: u64 },
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
    stream: impl Read + Send,
    root: OwnedFd,
    blob: Option<(&Digest, u64)>,
    diff_id: &Digest,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let bytes_max =
        blob.map_or(u64::MAX, |(_, size)| size.saturating_mul(limits.ratio_max).max(limits.ratio_from_bytes));
    let tar = Tar { diff_id, bytes_max, ratio: limits.ratio_max };
    let (full, filled) = sync_channel(BUFFERS_MAX);
    let (empty, emptied) = channel();
    std::thread::scope(|scope| {
        let decompressing = scope.spawn(move || decompress(stream, blob, &tar, &full, &emptied));
        let mut archive = TarReader::new(Buffers { filled, empty, current: Vec::new(), at: 0 });
        let written = Extractor::new(root, limits).run(&mut archive);
        let mut rest = archive.into_inner();
        if written.is_ok() {
            // What follows the end of the archive counts for the digest.
            while rest.next() {}
        }
        // Ends the sending, should files have failed.
        drop(rest);
        match decompressing.join() {
            // A stream that is not what it should be makes all kinds of errors further on: this is the one to tell.
            Ok(verified) => verified?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        let Written { bytes, inodes, implied } = written.map_err(UnpackError::Extract)?;
        Ok(Unpacked { bytes, inodes, implied })
    })
}

/// What the decompressed stream must be.
struct Tar<'a> {
    diff_id: &'a Digest,
    bytes_max: u64,
    ratio: u64,
}

/// Decompresses the stream into buffers and verifies both digests. Should nobody want the buffers any more, the stream is
/// still read to its end, for damaged contents are to be known as such.
fn decompress(
    stream: impl Read,
    blob: Option<(&Digest, u64)>,
    tar: &Tar<'_>,
    full: &SyncSender<Vec<u8>>,
    emptied: &Receiver<Vec<u8>>,
) -> Result<(), UnpackError> {
    let mut outer =
        Hashing { inner: stream, hasher: blob.map(|(digest, _)| Hasher::new(digest.algorithm())), failure: None };
    let result = send_tar(&mut outer, tar, full, emptied);
    if result.is_err() || blob.is_some() {
        // An error here is remembered like any other.
        let _ = io::copy(&mut outer, &mut io::sink());
    }
    if let Some(error) = outer.failure.take() {
        return Err(UnpackError::Read(error));
    }
    if let (Some((expected, size)), Some(hasher)) = (blob, outer.hasher) {
        if hasher.bytes() != size {
            return Err(UnpackError::Size { expected: size, actual: hasher.bytes() });
        }
        let actual = hasher.finish();
        if actual != *expected {
            return Err(UnpackError::Digest { expected: expected.clone(), actual });
        }
    }
    result
}

fn send_tar(
    stream: &mut impl Read,
    tar: &Tar<'_>,
    full: &SyncSender<Vec<u8>>,
    emptied: &Receiver<Vec<u8>>,
) -> Result<(), UnpackError> {
    let mut decoder = Decoder::new(stream).map_err(UnpackError::Decompress)?;
    let mut hasher = Hasher::new(tar.diff_id.algorithm());
    loop {
        let mut buffer = emptied.try_recv().unwrap_or_default();
        buffer.resize(BUFFER_BYTES, 0);
        let mut length = 0;
        while length < BUFFER_BYTES {
            match decoder.read(&mut buffer[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(UnpackError::Decompress(error)),
            }
        }
        buffer.truncate(length);
        hasher.update(&buffer);
        if hasher.bytes() > tar.bytes_max {
            return Err(UnpackError::Ratio { max: tar.bytes_max, ratio: tar.ratio });
        }
        if length == 0 {
            break;
        }
        if full.send(buffer).is_err() {
            // Writing files has failed, which is the error to tell.
            return Ok(());
        }
    }
    decoder.drain().map_err(UnpackError::Decompress)?;
    let actual = hasher.finish();
    if actual == *tar.diff_id { Ok(()) } else { Err(UnpackError::DiffId { expected: tar.diff_id.clone(), actual }) }
}

/// The buffers that come as one stream.
struct Buffers {
    filled: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Buffers {
    /// Takes the next buffer; `false` after the last.
    fn next(&mut self) -> bool {
        match self.filled.recv() {
            Ok(buffer) => {
                let used = std::mem::replace(&mut self.current, buffer);
                self.at = 0;
                // The other side may have ended.
                let _ = self.empty.send(used);
                true
            }
            Err(_) => false,
        }
    }
}

impl Read for Buffers {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            if !self.next() {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.current.len() - self.at);
        buffer[..length].copy_from_slice(&self.current[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

/// Computes the digest of what passes and remembers how reading failed, which layers above only see through their own
/// errors.
struct Hashing<R> {
    inner: R,
    hasher: Option<Hasher>,
    failure: Option<io::Error>,
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
                self.failure.get_or_insert(error);
                Err(copy)
            }
        }
    }
}
