//! A disk on paper: a file system in memory that fails, stops and forgets as real ones do.
//!
//! What is written is first in the kernel's memory, where everybody reads it, and on the disk only after a sync. When the power goes, each
//! write and each change of a directory that no sync has covered is lost, kept, or (a write) kept in part. After a sync that failed they
//! may be gone for good although they can still be read: the kernel holds them for written.

mod files;
mod image;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::errno::Errno;
use parking_lot::{Condvar, Mutex, MutexGuard};
use windlass_store::{Disk, DiskFile};

pub(crate) use image::{Change, Fate, Image, Part};

/// A system call that is about to be made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Counted from 0.
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    /// Bytes, of a write.
    pub(crate) length: usize,
    pub(crate) in_background: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    MakeDirectory,
    RemoveDirectory,
    SyncDirectory,
    List,
    Read,
    Create,
    Open,
    Rename,
    Remove,
    Lock,
    Spawn,
    Write,
    Cut,
    SyncData,
    SyncAll,
}

impl Kind {
    pub(crate) fn is_sync(self) -> bool {
        matches!(self, Self::SyncDirectory | Self::SyncData | Self::SyncAll)
    }

    /// Whether it can fail for want of space.
    pub(crate) fn takes_space(self) -> bool {
        matches!(self, Self::MakeDirectory | Self::Create | Self::Rename | Self::Lock | Self::Write)
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeed,
    Fail(Errno),
    /// A sync fails, and of what it should have made durable only so many changes are; the rest can be read, but is never written.
    FailSync {
        durable: usize,
    },
    /// A sync fails, and what it should have made durable cannot even be read any more.
    FailSyncAndForget,
    /// A write writes so many bytes.
    Short(usize),
    /// The power goes, or the process is killed, before the call.
    Stop,
    Panic,
}

type Judge = Box<dyn FnMut(&Call) -> Verdict + Send>;

/// The disk as one process has it open. When this goes, the process does.
pub(crate) struct PaperDisk(Handle);

/// What that process holds of it.
#[derive(Clone)]
struct Handle(Arc<Shared>);

impl Drop for PaperDisk {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Shared {
    state: Mutex<State>,
    turn: Condvar,
}

struct State {
    image: Image,
    judge: Judge,
    calls: usize,
    /// Nothing happens any more: the process is gone.
    is_stopped: bool,
    is_locked: bool,
    /// Calls that the thread in the background may still make.
    background_calls: usize,
    background_runs: bool,
    /// It stands before a call that it may not make yet.
    background_waits: bool,
    story: Vec<String>,
}

thread_local! {
    static IN_BACKGROUND: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl PaperDisk {
    /// A process starts on what is there; nothing fails. Its threads in the background make the calls that they are let.
    pub(crate) fn new(image: Image) -> Self {
        let state = State {
            image,
            judge: Box::new(|_| Verdict::Succeed),
            calls: 0,
            is_stopped: false,
            is_locked: false,
            background_calls: 0,
            background_runs: false,
            background_waits: false,
            story: Vec::new(),
        };
        Self(Handle(Arc::new(Shared { state: Mutex::new(state), turn: Condvar::new() })))
    }

    pub(crate) fn judged_by(self, judge: impl FnMut(&Call) -> Verdict + Send + 'static) -> Self {
        self.0.0.state.lock().judge = Box::new(judge);
        self
    }

    pub(crate) fn handle(&self) -> Arc<dyn Disk> {
        Arc::new(self.0.clone())
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.0.0.state.lock().is_stopped
    }

    pub(crate) fn story(&self) -> Vec<String> {
        self.0.0.state.lock().story.clone()
    }

    /// Ends the process, wherever it is, and returns what it leaves: the kernel's memory is still there.
    pub(crate) fn stop(&self) -> Image {
        let mut state = self.0.0.state.lock();
        state.is_stopped = true;
        self.0.0.turn.notify_all();
        state.image.clone()
    }

    /// Lets the thread in the background make so many calls, and waits until it wants to make one more.
    pub(crate) fn let_background(&self, calls: usize) {
        let mut state = self.0.0.state.lock();
        if !state.background_runs {
            return;
        }
        state.background_calls = calls;
        self.0.0.turn.notify_all();
        self.0.0.turn.wait_while(&mut state, |state| {
            let is_held = state.background_waits && state.background_calls == 0;
            state.background_runs && !is_held && !state.is_stopped
        });
        state.background_calls = 0;
    }

    /// Lets it run to its end.
    pub(crate) fn finish_background(&self) {
        self.let_background(usize::MAX);
    }
}

impl Handle {
    /// Decides about a call; on success the caller carries it out under the lock.
    fn begin(&self, kind: Kind, path: &Path, length: usize) -> io::Result<(MutexGuard<'_, State>, Verdict)> {
        let in_background = IN_BACKGROUND.get();
        let mut state = self.0.state.lock();
        if in_background {
            state.background_waits = true;
            self.0.turn.notify_all();
            self.0.turn.wait_while(&mut state, |state| state.background_calls == 0 && !state.is_stopped);
            state.background_waits = false;
            if state.background_calls != usize::MAX {
                state.background_calls = state.background_calls.saturating_sub(1);
            }
        }
        if state.is_stopped {
            return Err(Errno::EIO.into());
        }
        let call = Call { number: state.calls, kind, path: path.to_owned(), length, in_background };
        state.calls += 1;
        let verdict = (state.judge)(&call);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = if in_background { " (in the background)" } else { "" };
        state.story.push(format!("{:4} {kind:?} {name} {length}: {verdict:?}{place}", call.number));
        match verdict {
            Verdict::Fail(errno) => Err(errno.into()),
            Verdict::Stop => {
                state.is_stopped = true;
                self.0.turn.notify_all();
                Err(Errno::EIO.into())
            }
            Verdict::Panic => {
                drop(state);
                panic!("the disk has panicked")
            }
            other => Ok((state, other)),
        }
    }
}

/// Ends what a thread in the background has begun, also when it panics.
struct Background(Handle);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.0.state.lock().background_runs = false;
        self.0.0.turn.notify_all();
    }
}

struct Locked(Handle);

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.0.state.lock().is_locked = false;
    }
}

impl Disk for Handle {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let (mut state, _) = self.begin(Kind::MakeDirectory, path, 0)?;
        state.image.make_directory(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let (mut state, _) = self.begin(Kind::RemoveDirectory, path, 0)?;
        state.image.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let (mut state, verdict) = self.begin(Kind::SyncDirectory, path, 0)?;
        state.image.sync_directory(path, verdict)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let (state, _) = self.begin(Kind::List, directory, 0)?;
        state.image.list(directory)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let (state, _) = self.begin(Kind::Read, path, 0)?;
        state.image.read(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (mut state, _) = self.begin(Kind::Create, path, 0)?;
        let number = state.image.create(path)?;
        Ok(Box::new(files::PaperFile::new(self.clone(), number, path)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (state, _) = self.begin(Kind::Open, path, 0)?;
        let number = state.image.number(path)?;
        Ok(Box::new(files::PaperFile::new(self.clone(), number, path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, _) = self.begin(Kind::Rename, from, 0)?;
        state.image.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (mut state, _) = self.begin(Kind::Remove, path, 0)?;
        state.image.remove(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        let (mut state, _) = self.begin(Kind::Lock, path, 0)?;
        if state.is_locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.is_locked = true;
        Ok(Box::new(Locked(self.clone())))
    }

    fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>> {
        let (mut state, _) = self.begin(Kind::Spawn, Path::new(name), 0)?;
        state.background_runs = true;
        let background = Background(self.clone());
        std::thread::Builder::new().spawn(move || {
            IN_BACKGROUND.set(true);
            let _background = background;
            work();
        })
    }
}

/// Files by the names that can be read, for looking at them.
pub(crate) fn files(image: &Image) -> BTreeMap<PathBuf, Vec<u8>> {
    image.names().into_iter().filter_map(|path| Some((path.clone(), image.read(&path).ok()?))).collect()
}
