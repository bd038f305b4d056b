//! Directories that are whole or not there.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};

/// The place for what is not complete yet or not wanted any more. Whatever is in it when a store opens is removed.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    directory: File,
    next: AtomicU64,
}

impl Scratch {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&path)?;
        let directory = File::open(&path)?;
        Ok(Self { path, directory, next: AtomicU64::new(0) })
    }

    /// Names of everything in it.
    pub(crate) fn leftovers(&self) -> io::Result<Vec<std::ffi::OsString>> {
        std::fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    pub(crate) fn remove(&self, name: &std::ffi::OsStr) -> io::Result<()> {
        Ok(windlass_tree::remove(&self.directory, name)?)
    }

    /// A name that nothing in it has; `leftovers` of earlier stores carry other prefixes.
    pub(crate) fn fresh(&self, what: &str) -> PathBuf {
        let process = std::process::id();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let path = self.path.join(format!("{what}-{process}-{number}"));
            if std::fs::symlink_metadata(&path).is_err() {
                return path;
            }
        }
    }

    /// Moves something here, out of the way, at once; the caller removes it later.
    pub(crate) fn discard(&self, path: &Path) -> io::Result<PathBuf> {
        let aside = self.fresh("discarded");
        std::fs::rename(path, &aside)?;
        Ok(aside)
    }
}

/// A directory that is removed unless it was moved to its place.
#[derive(Debug)]
pub(crate) struct TemporaryDirectory {
    path: PathBuf,
    kept: bool,
}

impl TemporaryDirectory {
    pub(crate) fn create(scratch: &Scratch, what: &str) -> io::Result<Self> {
        let path = scratch.fresh(what);
        std::fs::create_dir(&path)?;
        let created = Self { path, kept: false };
        // A layer's root is what a container sees as `/`; the mask of this process must not show in it.
        rustix::fs::chmod(&created.path, Mode::from_raw_mode(0o755))?;
        Ok(created)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(&self.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    pub(crate) fn keep_as(mut self, place: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, place)?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (Some(parent), Some(name)) = (self.path.parent(), self.path.file_name()) else { return };
        let removed = File::open(parent).and_then(|parent| Ok(windlass_tree::remove(&parent, name)?));
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove a temporary directory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_directories() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(dir.path().join("tmp")).unwrap();
        let dropped = TemporaryDirectory::create(&scratch, "x").unwrap();
        std::fs::create_dir_all(dropped.path().join("a/b")).unwrap();
        drop(dropped);
        let kept = TemporaryDirectory::create(&scratch, "x").unwrap();
        let place = dir.path().join("place");
        kept.keep_as(&place).unwrap();
        assert!(place.is_dir());
        assert!(scratch.leftovers().unwrap().is_empty());
        let aside = scratch.discard(&place).unwrap();
        assert_eq!(scratch.leftovers().unwrap(), [aside.file_name().unwrap()]);
        scratch.remove(aside.file_name().unwrap()).unwrap();
        assert!(scratch.leftovers().unwrap().is_empty());
    }
}
