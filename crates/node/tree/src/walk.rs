//! Walking a tree with one descriptor, however deep it is.
//!
//! Down goes by name, up by `..`; that going up leads where we came from is checked, for the tree may be moved while it is
//! walked. Then the way is gone down again from the root, as far as it is still there, and from there the walk goes on: nobody ends it
//! by moving a directory. Mounted file systems and whatever vanishes on the way are left out.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::{Errno, Result};

use crate::{Links, open_dir};

/// Ways that are gone down again in one walk; a tree that moves more than that has no end.
const RETURNS_MAX: usize = 100_000;

/// A file of the tree as it was found: `name` in the directory `parent`, not followed.
pub struct Entry<'a> {
    pub parent: &'a OwnedFd,
    pub name: &'a CStr,
    pub stat: Stat,
}

/// A directory on the way down to where we are.
struct Level {
    identity: (u64, u64),
    /// Its directories that are still to be entered.
    left: Vec<CString>,
    /// The one that was entered.
    entered: CString,
}

/// Visits everything below `root`, each directory after what is in it. `root` itself is not visited.
pub fn walk(root: &OwnedFd, mut visit: impl FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
    let mut current = open_dir(root, b"", Links::Refused)?;
    let mut left = visit_files(&current, &mut visit)?;
    let mut levels: Vec<Level> = Vec::new();
    let mut returns = 0;
    loop {
        if let Some(name) = left.pop() {
            let child = match open_dir(&current, name.to_bytes(), Links::Refused) {
                Ok(child) => child,
                Err(Errno::NOENT | Errno::XDEV | Errno::LOOP | Errno::NOTDIR) => continue,
                Err(error) => return Err(error),
            };
            let below = visit_files(&child, &mut visit)?;
            let identity = identity(&fstat(&current)?);
            levels.push(Level { identity, left: std::mem::replace(&mut left, below), entered: name });
            current = child;
            continue;
        }
        let Some(level) = levels.last() else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let above = openat(&current, c"..", flags, Mode::empty())?;
        current = if identity(&fstat(&above)?) == level.identity {
            above
        } else {
            returns += 1;
            if returns > RETURNS_MAX {
                return Err(Errno::STALE);
            }
            go_back(root, &mut levels)?
        };
        let Some(level) = levels.pop() else { return Ok(()) };
        left = level.left;
        visit_one(&current, &level.entered, &mut visit)?;
    }
}

/// Goes down to the last of `levels` whose way is still there, and forgets those below it.
fn go_back(root: &OwnedFd, levels: &mut Vec<Level>) -> Result<OwnedFd> {
    let mut current = open_dir(root, b"", Links::Refused)?;
    for depth in 1..levels.len() {
        let next = match open_dir(&current, levels[depth - 1].entered.to_bytes(), Links::Refused) {
            Ok(next) if identity(&fstat(&next)?) == levels[depth].identity => next,
            Ok(_) | Err(Errno::NOENT | Errno::XDEV | Errno::LOOP | Errno::NOTDIR) => {
                levels.truncate(depth);
                break;
            }
            Err(error) => return Err(error),
        };
        current = next;
    }
    Ok(current)
}

/// Visits the files of a directory and returns its directories.
fn visit_files(dir: &OwnedFd, visit: &mut impl FnMut(Entry<'_>) -> Result<()>) -> Result<Vec<CString>> {
    let mut directories = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            },
            _ => false,
        };
        if is_directory {
            directories.push(name.to_owned());
        } else {
            visit_one(dir, name, visit)?;
        }
    }
    Ok(directories)
}

fn visit_one(parent: &OwnedFd, name: &CStr, visit: &mut impl FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
    match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => visit(Entry { parent, name, stat }),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    fn names(path: &std::path::Path) -> Vec<String> {
        let root = OwnedFd::from(File::open(path).unwrap());
        let mut found = Vec::new();
        walk(&root, |entry| {
            found.push(entry.name.to_string_lossy().into_owned());
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn everything_once_and_directories_last() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::create_dir_all(dir.path().join("e")).unwrap();
        for file in ["a/b/c", "a/d"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        let found = names(dir.path());
        let at = |name: &str| found.iter().position(|n| n == name).unwrap_or_else(|| panic!("{name} in {found:?}"));
        assert_eq!(found.len(), 6);
        assert!(at("c") < at("b") && at("b") < at("a") && at("d") < at("a"));
        assert!(at("e") < 6 && at("link") < 6);
    }

    #[test]
    fn a_directory_that_is_moved_ends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for way in ["a/b/c/d", "m", "z"] {
            fs::create_dir_all(at(way)).unwrap();
        }
        for file in ["a/b/c/d/deep", "a/one", "m/two", "z/three"] {
            fs::write(at(file), "").unwrap();
        }
        let root = OwnedFd::from(File::open(dir.path()).unwrap());
        let mut found = Vec::new();
        walk(&root, |entry| {
            let name = entry.name.to_string_lossy().into_owned();
            if name == "deep" {
                // Out of the way that leads up, and away from under the walk.
                fs::rename(at("a/b/c"), at("a/moved")).unwrap();
                fs::rename(at("a/b"), at("elsewhere")).unwrap();
            }
            found.push(name);
            Ok(())
        })
        .unwrap();
        for name in ["deep", "one", "two", "three", "a", "m", "z"] {
            assert!(found.iter().any(|found| found == name), "{name} in {found:?}");
        }
    }

    #[test]
    fn deeper_than_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let mut at = OwnedFd::from(File::open(dir.path()).unwrap());
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open_dir(&at, b"d", Links::Refused).unwrap();
        }
        assert_eq!(names(dir.path()).len(), 3000);
        crate::remove(File::open(dir.path()).unwrap(), "d").unwrap();
    }
}
