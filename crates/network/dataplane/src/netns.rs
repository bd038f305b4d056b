//! Network namespaces: entering one for a moment.
//!
//! A thread that changes its namespace must not go back to a pool of threads, so work inside another namespace runs on a
//! thread of its own that ends with it. Sockets opened there keep talking to that namespace afterwards.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace that is held open.
#[derive(Debug)]
pub struct Netns {
    file: Option<File>,
    path: PathBuf,
}

impl Netns {
    /// The namespace of this process. Work "inside" it runs on the calling thread.
    pub fn current() -> Self {
        Self { file: None, path: PathBuf::from("/proc/self/ns/net") }
    }

    /// The namespace that `path` holds, such as `/run/netns/blue` or `/proc/1234/ns/net`.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        Ok(Self { file: Some(File::open(&path)?), path })
    }

    /// A new namespace with nothing but a loopback device that is down. It has no name and lasts as long as this value and
    /// whatever else refers to it; `path` leads to it from any process that may look into this one's `/proc`.
    pub fn create() -> io::Result<Self> {
        let file = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
                unshare(CloneFlags::CLONE_NEWNET)?;
                File::open("/proc/thread-self/ns/net")
            })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        Ok(Self { file: Some(file), path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The namespace as a file descriptor; `None` for the current one.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Runs `work` inside the namespace, on a thread that ends with it, and waits for the result.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let Some(file) = &self.file else { return Ok(work()) };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
                setns(file, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            })?;
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
