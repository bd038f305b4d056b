//! Snapshots: every object at one revision, so that older log files can go.
//!
//! A snapshot is written by a thread of its own from the tables' immutable states while the committer goes on. It becomes
//! valid by its rename, which comes after its sync; what it replaces goes only after the sync of the directory.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::Ending;
use super::disk::write_all;
use super::frame::{MAGIC, push_frame};
use super::home::Home;
use super::recovery::revision_in_name;
use crate::table::{Range, TableState};
use crate::tables::Tables;

/// Decides when a snapshot is due, and has at most one under way.
pub(super) struct Snapshots {
    home: Arc<Home>,
    snapshot_bytes: u64,
    /// Bytes of the log since the last snapshot.
    pub(super) log_bytes: u64,
    /// How large the log may grow before the next snapshot.
    due_at: u64,
    running: Option<Running>,
}

struct Running {
    thread: Option<JoinHandle<()>>,
    /// The snapshot's size when it is there.
    result: Receiver<io::Result<u64>>,
    /// Bytes of the log that it replaces.
    replaces: u64,
    ending: Ending,
    is_cancelled: Arc<AtomicBool>,
}

/// What a snapshot is made of: the tables after the last published batch.
pub(super) struct View {
    revision: u64,
    tables: Vec<(Box<str>, Arc<TableState>)>,
}

impl View {
    /// Called by the committer, between batches, so that all tables are at one revision.
    pub(super) fn of(tables: &Tables) -> Self {
        let mut all: Vec<_> = tables.all().into_iter().map(|table| (table.name.clone(), table.state())).collect();
        // The same tables make the same file.
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { revision: tables.revision(), tables: all }
    }
}

impl Snapshots {
    pub(super) fn new(home: Arc<Home>, snapshot_bytes: u64, log_bytes: u64) -> Self {
        let mut snapshots = Self { home, snapshot_bytes, log_bytes, due_at: 0, running: None };
        snapshots.plan();
        snapshots
    }

    /// A snapshot is due when the log has grown to twice the last one: then disk and start-up time stay within three times what the
    /// objects need, and a byte is written at most one and a half times more.
    fn plan(&mut self) {
        self.due_at = self.home.sizes.log_bytes_min.max(self.snapshot_bytes * 2);
    }

    /// Tries again when the log has grown some more. On a full disk it cannot, so nothing is tried until there is space.
    pub(super) fn put_off(&mut self) {
        self.due_at = self.log_bytes + self.home.sizes.log_bytes_min / 8;
    }

    pub(super) fn is_due(&mut self) -> bool {
        self.running().is_none() && self.log_bytes > self.due_at
    }

    /// The end of the one that is being written.
    pub(super) fn running(&mut self) -> Option<Ending> {
        if let Some(running) = &self.running {
            match running.result.try_recv() {
                Err(TryRecvError::Empty) => return Some(running.ending.clone()),
                Ok(Ok(bytes)) => {
                    self.snapshot_bytes = bytes;
                    self.log_bytes -= running.replaces;
                    self.plan();
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a snapshot of the store failed; the log goes on growing");
                    self.put_off();
                }
                Err(TryRecvError::Disconnected) => {
                    tracing::error!("the thread that writes snapshots of the store panicked; the log goes on growing");
                    self.put_off();
                }
            }
            self.running = None;
        }
        None
    }

    pub(super) fn start(&mut self, view: View) {
        let (sender, result) = channel();
        let (ended, ending) = watch::channel(None);
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let (home, flag) = (self.home.clone(), is_cancelled.clone());
        let work = move || {
            let written = write(&home, &view, &flag);
            let outcome = written.as_ref().map(|_| ()).map_err(ToString::to_string);
            // Who has been dropped does not need the result.
            let _ = sender.send(written);
            ended.send_replace(Some(outcome));
        };
        match self.home.disk.spawn("store-snapshot", Box::new(work)) {
            Ok(thread) => {
                self.running =
                    Some(Running { thread: Some(thread), result, replaces: self.log_bytes, ending, is_cancelled });
            }
            Err(error) => {
                tracing::warn!(%error, "no thread for a snapshot of the store; the log goes on growing");
                self.put_off();
            }
        }
    }
}

impl Drop for Running {
    /// Nothing works in the folder when its lock is let go.
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
        // A panic has been logged.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Writes a snapshot and removes what it replaces; returns its size.
fn write(home: &Home, view: &View, is_cancelled: &AtomicBool) -> io::Result<u64> {
    let path = home.directory.join(format!("snapshot-{:016x}", view.revision));
    let temporary = path.with_extension("tmp");
    let written = write_temporary(home, &temporary, view, is_cancelled).and_then(|bytes| {
        home.disk.rename(&temporary, &path)?;
        Ok(bytes)
    });
    let bytes = written.inspect_err(|_| {
        // On a full disk half a snapshot would stand in the way of the log. When this fails as well, the next start tidies up.
        let _ = home.disk.remove(&temporary);
    })?;
    if let Err(error) = home.disk.sync_directory(&home.directory) {
        home.fail(&home.directory, &error);
        return Err(error);
    }
    remove_before(home, view.revision);
    Ok(bytes)
}

fn write_temporary(home: &Home, path: &Path, view: &View, is_cancelled: &AtomicBool) -> io::Result<u64> {
    let file = home.disk.create(path)?;
    let mut buffer = MAGIC.to_vec();
    let mut bytes = 0;
    let mut count: u64 = 0;
    for (name, state) in &view.tables {
        let mut all = state.iter(&Range::default()).peekable();
        while all.peek().is_some() {
            if is_cancelled.load(Ordering::Relaxed) {
                return Err(io::Error::other("the store is being closed"));
            }
            let mut budget = home.sizes.snapshot_frame_bytes as isize;
            let frame = std::iter::from_fn(|| {
                let item = all.next_if(|_| budget > 0)?;
                budget -= item.value.len() as isize + 64;
                count += 1;
                Some((&**name, &**item, false))
            });
            push_frame(&mut buffer, view.revision, frame, &*home.encryption).map_err(io::Error::other)?;
            write_all(&*file, &buffer, bytes)?;
            bytes += buffer.len() as u64;
            buffer.clear();
        }
    }
    // The last frame holds no records, only how many there were: it proves that the snapshot is whole.
    push_frame(&mut buffer, count, std::iter::empty(), &*home.encryption).map_err(io::Error::other)?;
    write_all(&*file, &buffer, bytes)?;
    file.sync_all()?;
    Ok(bytes + buffer.len() as u64)
}

/// Removes logs and snapshots that the snapshot at `revision` replaces. A log file begins where the one before ends, and one began at
/// exactly this revision. What cannot be removed goes with the next snapshot.
fn remove_before(home: &Home, revision: u64) {
    let removed = home.disk.list(&home.directory).and_then(|paths| {
        let older = paths.iter().filter(|path| revision_in_name(path).is_some_and(|(_, at)| at < revision));
        older.map(|path| home.disk.remove(path)).fold(Ok(()), io::Result::and)
    });
    if let Err(error) = removed {
        tracing::warn!(%error, "files that a snapshot of the store replaces cannot be removed yet");
    }
}
