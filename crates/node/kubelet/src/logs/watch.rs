//! Being told by the kernel that something was written in a directory with logs.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::unix::AsyncFd;

/// What is read of the queue at once.
const BUFFER_BYTES: usize = 16 << 10;

/// The directories that are watched.
pub(super) struct Watch {
    inotify: AsyncFd<OwnedFd>,
    directories: HashMap<i32, PathBuf>,
}

/// What has happened since the last time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Something was written in these directories.
    Written(BTreeSet<PathBuf>),
    /// More than could be noted: anywhere.
    Unknown,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // SAFETY: an OwnedFd gives the same open descriptor for as long as it lives, and lives in the AsyncFd.
        let registered = unsafe { AsyncFd::register(inotify) };
        Ok(Self { inotify: registered.map_err(io::Error::from)?, directories: HashMap::new() })
    }

    /// Watches a directory, unless it is already.
    pub(super) fn add(&mut self, directory: &Path) -> io::Result<()> {
        let flags = WatchFlags::MODIFY | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        let id = inotify::add_watch(self.inotify.get_ref(), directory, flags)?;
        self.directories.insert(id, directory.to_owned());
        Ok(())
    }

    /// Watches none but these any more.
    pub(super) fn retain(&mut self, keep: &BTreeSet<&Path>) {
        self.directories.retain(|id, directory| {
            let keeps = keep.contains(directory.as_path());
            if !keeps {
                // One that is gone was given up by the kernel.
                let _ = inotify::remove_watch(self.inotify.get_ref(), *id);
            }
            keeps
        });
    }

    /// Waits for something to be written. Nothing is lost when the wait is given up.
    pub(super) async fn changed(&self) -> io::Result<Change> {
        let mut ready = self.inotify.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(ready.get_inner(), &mut buffer);
        let mut written = BTreeSet::new();
        let mut overflown = false;
        while let Ok(event) = reader.next() {
            overflown |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            written.extend(self.directories.get(&event.wd()).cloned());
        }
        ready.clear_ready();
        Ok(if overflown { Change::Unknown } else { Change::Written(written) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_told() {
        let root = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| root.path().join(name));
        let mut watch = Watch::new().unwrap();
        for directory in [&a, &b] {
            std::fs::create_dir(directory).unwrap();
            watch.add(directory).unwrap();
        }
        std::fs::write(a.join("0.log"), "x").unwrap();
        assert_eq!(watch.changed().await.unwrap(), Change::Written(BTreeSet::from([a.clone()])));
        watch.retain(&BTreeSet::from([b.as_path()]));
        std::fs::write(a.join("0.log"), "x").unwrap();
        std::fs::write(b.join("0.log"), "x").unwrap();
        let mut written = BTreeSet::new();
        while written.is_empty() {
            let Change::Written(more) = watch.changed().await.unwrap() else { panic!("an overflow") };
            written = more;
        }
        assert_eq!(written, BTreeSet::from([b]));
    }
}
