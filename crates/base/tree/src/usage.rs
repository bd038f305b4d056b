//! What a tree takes of the disk, and what its file system has left.

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::{Errno, Result};

use crate::walk;

/// Hard links are counted once; of more such files than this, every name.
const LINKED_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub inodes: u64,
}

/// The file system that a path is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    pub capacity_bytes: u64,
    /// For whoever is not root.
    pub available_bytes: u64,
    pub used_bytes: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

impl Usage {
    /// Of each the greater.
    pub(crate) fn at_least(self, other: Self) -> Self {
        Self { bytes: self.bytes.max(other.bytes), inodes: self.inodes.max(other.inodes) }
    }
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), inodes: self.inodes.saturating_add(other.inodes) }
    }
}

impl std::iter::Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), std::ops::Add::add)
    }
}

/// Counts the tree at `path`, itself included, as `du` does: blocks rather than lengths, hard links once, mounted file systems
/// not at all.
pub fn usage(path: &Path) -> Result<Usage> {
    usage_while(path, |_| true)
}

/// As [`usage`], for as long as `goes_on` says so, which is told what was found after each file; else `CANCELED`.
pub(crate) fn usage_while(path: &Path, mut goes_on: impl FnMut(Usage) -> bool) -> Result<Usage> {
    let root: OwnedFd = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut usage = Usage::default();
    let mut linked = HashSet::new();
    let mut count = |stat: &Stat| -> Result<()> {
        let is_linked = stat.st_nlink > 1 && FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
        if is_linked && linked.len() < LINKED_MAX && !linked.insert(stat.st_ino) {
            return Ok(());
        }
        usage.bytes += stat.st_blocks.unsigned_abs() * 512;
        usage.inodes += 1;
        if goes_on(usage) { Ok(()) } else { Err(Errno::CANCELED) }
    };
    count(&rustix::fs::fstat(&root)?)?;
    walk(&root, |entry| count(&entry.stat))?;
    Ok(usage)
}

pub fn file_system(path: &Path) -> Result<FileSystem> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(FileSystem {
        capacity_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        used_bytes: stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize),
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_as_du_does() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::write(dir.path().join("a/file"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(dir.path().join("a/file"), dir.path().join("a/b/same")).unwrap();
        let holes = std::fs::File::create(dir.path().join("holes")).unwrap();
        holes.set_len(1 << 30).unwrap();
        holes.sync_all().unwrap();
        std::fs::File::open(dir.path().join("a/file")).unwrap().sync_all().unwrap();
        let du = std::process::Command::new("du").args(["-s", "-B512"]).arg(dir.path()).output().unwrap();
        let blocks: u64 = String::from_utf8(du.stdout).unwrap().split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(usage(dir.path()).unwrap(), Usage { bytes: blocks * 512, inodes: 5 });
        let system = file_system(dir.path()).unwrap();
        assert!(system.capacity_bytes > system.available_bytes && system.inodes >= system.inodes_free);
    }
}
