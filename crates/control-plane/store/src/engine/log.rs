//! The log: where batches are appended, and when it goes on in a new file.

use std::io;
use std::path::Path;
use std::sync::Arc;

use windlass_api::io::is_full;

use super::frame::{FRAME_MAX, Record, push_frame};
use super::home::Home;
use super::recovery;
use super::segment::{MakeError, Segment, WriteError};
use super::snapshot::{self, Snapshots};
use super::{Engine, EngineError, Loaded, OpenError, Rewrite};
use crate::health::Failure;
use crate::tables::Tables;

pub(super) struct LogEngine {
    home: Arc<Home>,
    segment: Segment,
    /// The revision of the last record.
    revision: u64,
    buffer: Vec<u8>,
    /// Waits for its thread when it is dropped, before the lock is let go.
    snapshots: Snapshots,
    _lock: Box<dyn Send>,
}

impl LogEngine {
    pub(super) fn open(home: Home) -> Result<(Self, Loaded), OpenError> {
        let fail = |what, path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { what, path, source }
        };
        let directory = home.directory.clone();
        home.make().map_err(fail("create", &directory))?;
        let lock_path = directory.join("lock");
        let lock = home.disk.lock(&lock_path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { directory: directory.clone() },
            _ => fail("lock", &lock_path)(error),
        })?;
        let found = recovery::recover(&home)?;
        let revision = found.loaded.revision;
        let mut segment = None;
        if let Some(last) = &found.last {
            let reopened = Segment::reopen(&home, last).map_err(fail("write to", &last.path))?;
            // To a file of an older format nothing is appended.
            segment = last.is_current_format().then_some(reopened);
        }
        let segment = match segment {
            Some(segment) => segment,
            None => Segment::create(&home, revision).map_err(|error| {
                let (MakeError::Refused(error) | MakeError::Unknown(error)) = error;
                fail("write in", &directory)(error)
            })?,
        };
        let home = Arc::new(home);
        let snapshots = Snapshots::new(home.clone(), found.snapshot_bytes, found.log_bytes);
        Ok((Self { home, segment, revision, buffer: Vec::new(), snapshots, _lock: lock }, found.loaded))
    }

    fn failed(&self, error: &WriteError) -> EngineError {
        match error {
            WriteError::Refused(error) if is_full(error) => {
                EngineError::DiskFull { directory: self.home.directory.display().to_string() }
            }
            WriteError::Refused(error) | WriteError::Unknown(error) => {
                EngineError::Broken(self.home.fail(&self.segment.path, error))
            }
        }
    }

    /// Frames from now on go to a new file, and what the old ones hold to a snapshot.
    fn go_on_in_new_file(&mut self, tables: &Tables) {
        match Segment::create(&self.home, self.revision) {
            Ok(segment) => {
                self.segment = segment;
                self.snapshots.start(snapshot::View::of(tables));
            }
            Err(MakeError::Refused(error)) => {
                tracing::warn!(%error, "the store's log cannot be rotated; it goes on growing");
                self.snapshots.put_off();
            }
            Err(MakeError::Unknown(error)) => {
                let _: Failure = self.home.fail(&self.home.directory, &error);
            }
        }
    }
}

impl Engine for LogEngine {
    fn check(&self, table: &str) -> Result<(), String> {
        self.home.encryption.check(table)
    }

    fn append(&mut self, records: &[Record]) -> Result<(), EngineError> {
        if let Some(failure) = self.home.health.failure() {
            return Err(EngineError::Broken(failure));
        }
        let Some(last) = records.last() else { return Ok(()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let parts = records.iter().map(|record| (&*record.table, &*record.item, record.deleted));
        if let Err(why) = push_frame(&mut buffer, self.revision, parts, &*self.home.encryption) {
            return Err(EngineError::Encryption(why));
        }
        let length = buffer.len() as u64;
        debug_assert!(length < FRAME_MAX as u64, "the committer bounds transactions and batches");
        let written = self.segment.write(&buffer);
        buffer.shrink_to(1 << 20);
        self.buffer = buffer;
        written.map_err(|error| self.failed(&error))?;
        self.revision = last.item.revision;
        self.snapshots.log_bytes += length;
        Ok(())
    }

    fn after_append(&mut self, tables: &Tables) {
        if !self.snapshots.is_due() {
            return;
        }
        self.go_on_in_new_file(tables);
    }

    fn rewrite(&mut self, tables: &Tables) -> Result<Rewrite, String> {
        if let Some(ending) = self.snapshots.running() {
            return Ok(Rewrite::After(ending));
        }
        self.go_on_in_new_file(tables);
        self.snapshots.running().map(Rewrite::Begun).ok_or_else(|| "no snapshot could be begun: see the log".to_owned())
    }
}
