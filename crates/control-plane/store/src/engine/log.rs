//! The log: where batches are appended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};

use super::cipher::Cipher;
use super::frame::{HEADER, MAGIC, Record, push_frame};
use super::recovery;
use super::snapshot::{self, Snapshots};
use super::{Engine, EngineError, OpenError};
use crate::store::{Loaded, Tables};

/// Zeros written ahead at once; the first piece is smaller, because it is part of the start-up.
const AHEAD: u64 = 4 << 20;
const AHEAD_FIRST: u64 = 256 << 10;

pub(super) struct LogEngine {
    directory: PathBuf,
    cipher: Arc<Cipher>,
    segment: Segment,
    /// The revision of the last record.
    revision: u64,
    snapshots: Snapshots,
    buffer: Vec<u8>,
    /// Why no write is taken any more.
    broken: Option<String>,
    _lock: Flock<File>,
}

/// One file of the log.
struct Segment {
    file: File,
    path: PathBuf,
    /// Where the next frame goes.
    end: u64,
    /// The file is filled with zeros up to here.
    zeroed: u64,
}

impl LogEngine {
    pub(super) fn open(directory: &Path, cipher: Arc<Cipher>) -> Result<(Self, Loaded), OpenError> {
        let fail = |what, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { what, path, source }
        };
        std::fs::create_dir_all(directory).map_err(fail("create", directory))?;
        let lock_path = directory.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(fail("open", &lock_path))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| OpenError::InUse { directory: directory.to_owned() })?;
        let found = recovery::recover(directory, &cipher)?;
        let revision = found.loaded.revision;
        let segment = match found.last_segment {
            Some((path, end)) => Segment::reopen(path.clone(), end).map_err(fail("open", &path))?,
            None => Segment::create(directory, revision).map_err(fail("write in", directory))?,
        };
        let snapshots = Snapshots::new(directory.to_owned(), found.snapshot_bytes, found.log_bytes);
        let engine = Self {
            directory: directory.to_owned(),
            cipher,
            segment,
            revision,
            snapshots,
            buffer: Vec::new(),
            broken: None,
            _lock: lock,
        };
        Ok((engine, found.loaded))
    }

    fn error(&mut self, error: &io::Error) -> EngineError {
        match error.raw_os_error() {
            Some(libc_errno::ENOSPC | libc_errno::EDQUOT) => {
                EngineError::DiskFull { directory: self.directory.display().to_string() }
            }
            _ => {
                // After a failed sync nobody knows what is on the disk: the kernel may have dropped the pages.
                let reason = format!("{}: {error}", self.segment.path.display());
                self.broken = Some(reason.clone());
                EngineError::Broken { reason }
            }
        }
    }
}

/// The two errors that mean no space; the rest are all alike to us.
mod libc_errno {
    pub(super) const ENOSPC: i32 = nix::errno::Errno::ENOSPC as i32;
    pub(super) const EDQUOT: i32 = nix::errno::Errno::EDQUOT as i32;
}

impl Engine for LogEngine {
    fn append(&mut self, records: &[Record]) -> Result<(), EngineError> {
        if let Some(reason) = &self.broken {
            return Err(EngineError::Broken { reason: reason.clone() });
        }
        let Some(last) = records.last() else { return Ok(()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let parts = records.iter().map(|record| (&*record.table, &*record.item, record.deleted));
        push_frame(&mut buffer, self.revision, parts, &self.cipher);
        let written = self.segment.write(&buffer);
        let length = buffer.len() as u64;
        buffer.shrink_to(1 << 20);
        self.buffer = buffer;
        match written {
            Ok(()) => {
                self.revision = last.item.revision;
                self.snapshots.log_bytes += length;
                Ok(())
            }
            Err(error) => Err(self.error(&error)),
        }
    }

    fn after_append(&mut self, tables: &Tables) {
        if !self.snapshots.is_due() {
            return;
        }
        // Frames from now on go to a new file, so that the old ones end where the snapshot begins.
        match Segment::create(&self.directory, self.revision) {
            Ok(segment) => {
                self.segment = segment;
                self.snapshots.start(snapshot::View::of(tables), self.cipher.clone());
            }
            Err(error) => tracing::warn!(%error, "the store's log cannot be rotated; it goes on growing"),
        }
    }
}

impl Segment {
    fn create(directory: &Path, revision: u64) -> io::Result<Self> {
        let path = directory.join(format!("log-{revision:016x}"));
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path)?;
        let mut segment = Self { file, path, end: HEADER as u64, zeroed: 0 };
        segment.zero_until(AHEAD_FIRST)?;
        segment.file.write_all_at(MAGIC, 0)?;
        segment.file.sync_all()?;
        File::open(directory)?.sync_all()?;
        Ok(segment)
    }

    /// Goes on after a frame that ends at `end`; what a torn write left behind it is overwritten.
    fn reopen(path: PathBuf, end: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = file.metadata()?.len();
        let mut segment = Self { file, path, end, zeroed: end };
        segment.zero_until(length)?;
        segment.file.sync_all()?;
        Ok(segment)
    }

    fn zero_until(&mut self, end: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        while self.zeroed < end {
            let piece = (end - self.zeroed).min(ZEROS.len() as u64);
            self.file.write_all_at(&ZEROS[..piece as usize], self.zeroed)?;
            self.zeroed += piece;
        }
        Ok(())
    }

    /// Writes a frame and waits until the disk has it. An error before the sync leaves `end` where it was, so the next frame
    /// overwrites what this one may have left.
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let end = self.end + frame.len() as u64;
        if end > self.zeroed && self.zero_until(end + AHEAD).is_err() {
            // Near the end of the disk there may still be space for just this frame.
            self.zero_until(end)?;
        }
        self.file.write_all_at(frame, self.end)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }
}
