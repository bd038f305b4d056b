//! Being told by the kernel that something has happened in a directory: a log is written, a configuration is replaced.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// What is read of the queue at once.
const BUFFER_BYTES: usize = 16 << 10;

/// What of a directory is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Writes to its files. It must be a directory, and no link to one.
    Writes,
    /// Writes to its files, and which files it has.
    WritesAndNames,
    /// Files that have been written to their end, and which files it has.
    Finished,
}

/// What has happened since the last time.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Something in these directories.
    In(BTreeSet<PathBuf>),
    /// More than could be noted: anywhere.
    Unknown,
}

/// Directories that are watched.
#[derive(Debug)]
pub struct Changes {
    inotify: AsyncFd<OwnedFd>,
    directories: HashMap<i32, PathBuf>,
}

impl Told {
    fn flags(self) -> WatchFlags {
        let moved = WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
        match self {
            Self::Writes => WatchFlags::MODIFY | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW,
            Self::WritesAndNames => WatchFlags::MODIFY | WatchFlags::CREATE | moved | WatchFlags::DELETE_SELF,
            Self::Finished => {
                let gone = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
                WatchFlags::CLOSE_WRITE | moved | WatchFlags::DELETE | gone
            }
        }
    }
}

impl Changes {
    /// Watches nothing yet. Needs a runtime of tokio's.
    pub fn none() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        // SAFETY: an OwnedFd gives the same open descriptor for as long as it lives, and lives in the AsyncFd.
        let registered = unsafe { AsyncFd::register(inotify) };
        Ok(Self { inotify: registered.map_err(io::Error::from)?, directories: HashMap::new() })
    }

    /// Notes what happens in a directory from now on.
    pub fn of(directory: &Path, told: Told) -> io::Result<Self> {
        let mut changes = Self::none()?;
        changes.add(directory, told)?;
        Ok(changes)
    }

    /// Watches a directory, unless it is already.
    pub fn add(&mut self, directory: &Path, told: Told) -> io::Result<()> {
        let id = inotify::add_watch(self.inotify.get_ref(), directory, told.flags())?;
        self.directories.insert(id, directory.to_owned());
        Ok(())
    }

    /// Watches none but these any more.
    pub fn retain(&mut self, keep: &BTreeSet<&Path>) {
        self.directories.retain(|id, directory| {
            let keeps = keep.contains(directory.as_path());
            if !keeps {
                // One that is gone was given up by the kernel.
                let _ = inotify::remove_watch(self.inotify.get_ref(), *id);
            }
            keeps
        });
    }

    /// Waits for something that was not waited for yet; all that has happened by then is one change. Nothing is lost when the wait is
    /// given up.
    pub async fn wait(&self) -> io::Result<Change> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let seen = self.read()?;
            ready.clear_ready();
            if let Some(change) = seen {
                return Ok(change);
            }
        }
    }

    /// What there is to read, if there is something.
    fn read(&self) -> io::Result<Option<Change>> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
        let (mut is_any, mut is_overflown, mut seen) = (false, false, BTreeSet::new());
        loop {
            match reader.next() {
                Ok(event) => {
                    is_any = true;
                    is_overflown |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
                    seen.extend(self.directories.get(&event.wd()).cloned());
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(is_any.then_some(if is_overflown { Change::Unknown } else { Change::In(seen) }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_told() {
        let root = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| root.path().join(name));
        let mut changes = Changes::none().unwrap();
        for directory in [&a, &b] {
            fs::create_dir(directory).unwrap();
            changes.add(directory, Told::Writes).unwrap();
        }
        fs::write(a.join("0.log"), "x").unwrap();
        assert_eq!(changes.wait().await.unwrap(), Change::In(BTreeSet::from([a.clone()])));
        changes.retain(&BTreeSet::from([b.as_path()]));
        fs::write(a.join("0.log"), "x").unwrap();
        fs::write(b.join("0.log"), "x").unwrap();
        let mut written = BTreeSet::new();
        while written.is_empty() {
            let Change::In(more) = changes.wait().await.unwrap() else { panic!("an overflow") };
            written = more;
        }
        assert_eq!(written, BTreeSet::from([b]));
    }

    #[tokio::test]
    async fn each_is_told_what_it_asks_for() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path();
        let all = [Told::Writes, Told::WritesAndNames, Told::Finished];
        let changes = all.map(|told| Changes::of(directory, told).unwrap());
        let told = || changes.each_ref().map(|changes| changes.read().unwrap().is_some());
        let file = directory.join("file");
        let open = fs::File::create(&file).unwrap();
        assert_eq!(told(), [false, true, false], "a name");
        io::Write::write_all(&mut &open, b"x").unwrap();
        assert_eq!(told(), [true, true, false], "a write");
        drop(open);
        assert_eq!(told(), [false, false, true], "its end");
        fs::rename(&file, directory.join("other")).unwrap();
        assert_eq!(told(), [false, true, true], "another name");
        assert_eq!(told(), [false, false, false], "nothing");
        std::os::unix::fs::symlink(directory, directory.join("link")).unwrap();
        assert!(Changes::of(&directory.join("link"), Told::Writes).is_err());
    }
}
