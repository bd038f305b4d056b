//! Snapshots: every object at one revision, so that older log files can go.
//!
//! A snapshot is written by a thread of its own from the tables' immutable states while the committer goes on. It becomes
//! valid by its rename; a crash before leaves a `.tmp` that the next start removes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::cipher::Cipher;
use super::frame::{MAGIC, push_frame};
use super::recovery::revision_in_name;
use crate::store::Tables;
use crate::table::{Range, TableState};

/// A log smaller than this is not worth a snapshot.
const LOG_BYTES_MIN: u64 = 32 << 20;
/// Bytes of objects in one frame.
const FRAME_BYTES: usize = 1 << 20;

/// Decides when a snapshot is due, and has at most one under way.
pub(super) struct Snapshots {
    directory: PathBuf,
    snapshot_bytes: u64,
    pub(super) log_bytes: u64,
    running: Option<JoinHandle<io::Result<u64>>>,
}

/// What a snapshot is made of: the tables after the last published batch.
pub(super) struct View {
    revision: u64,
    tables: Vec<(Box<str>, Arc<TableState>)>,
}

impl View {
    /// Called by the committer, between batches, so that all tables are at one revision.
    pub(super) fn of(tables: &Tables) -> Self {
        let all = tables.all().into_iter().map(|table| (table.name.clone(), table.state())).collect();
        Self { revision: tables.revision(), tables: all }
    }
}

impl Snapshots {
    pub(super) fn new(directory: PathBuf, snapshot_bytes: u64, log_bytes: u64) -> Self {
        Self { directory, snapshot_bytes, log_bytes, running: None }
    }

    /// A snapshot is due when the log has grown to twice the last one: then disk and start-up time stay within three times what the
    /// objects need, and a byte is written at most one and a half times more.
    pub(super) fn is_due(&mut self) -> bool {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return false;
        }
        match self.running.take().map(JoinHandle::join) {
            Some(Ok(Ok(bytes))) => self.snapshot_bytes = bytes,
            Some(Ok(Err(error))) => tracing::warn!(%error, "a snapshot of the store failed; the log goes on growing"),
            Some(Err(_)) => tracing::error!("the thread that writes snapshots of the store panicked"),
            None => {}
        }
        self.log_bytes > LOG_BYTES_MIN.max(self.snapshot_bytes * 2)
    }

    pub(super) fn start(&mut self, view: View, cipher: Arc<Cipher>) {
        self.log_bytes = 0;
        let directory = self.directory.clone();
        let thread = std::thread::Builder::new().name("store-snapshot".to_owned());
        match thread.spawn(move || write(&directory, &view, &cipher)) {
            Ok(running) => self.running = Some(running),
            Err(error) => tracing::warn!(%error, "no thread for a snapshot of the store; the log goes on growing"),
        }
    }
}

/// Writes a snapshot and removes what it replaces; returns its size.
fn write(directory: &Path, view: &View, cipher: &Cipher) -> io::Result<u64> {
    let path = directory.join(format!("snapshot-{:016x}", view.revision));
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    let mut buffer = MAGIC.to_vec();
    let mut bytes = 0;
    let mut count: u64 = 0;
    for (name, state) in &view.tables {
        let mut all = state.iter(&Range::default()).peekable();
        while all.peek().is_some() {
            let mut budget = FRAME_BYTES as isize;
            let frame = std::iter::from_fn(|| {
                let item = all.next_if(|_| budget > 0)?;
                budget -= item.value.len() as isize + 64;
                count += 1;
                Some((&**name, &**item, false))
            });
            push_frame(&mut buffer, view.revision, frame, cipher);
            file.write_all(&buffer)?;
            bytes += buffer.len() as u64;
            buffer.clear();
        }
    }
    // The last frame holds no records, only how many there were: it proves that the snapshot is whole.
    push_frame(&mut buffer, count, std::iter::empty(), cipher);
    file.write_all(&buffer)?;
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    File::open(directory)?.sync_all()?;
    remove_before(directory, view.revision)?;
    Ok(bytes + buffer.len() as u64)
}

/// Removes logs and snapshots that the snapshot at `revision` replaces. A log file begins where the one before ends, and one began at
/// exactly this revision.
pub(super) fn remove_before(directory: &Path, revision: u64) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if revision_in_name(&path).is_some_and(|(_, at)| at < revision) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
