//! Walking a tree with one descriptor, however deep it is.
//!
//! Down goes by name, up by `..`; that going up leads where we came from is checked, for the tree may be moved while it is
//! walked. Then the way is gone down again from the root, as far as it is still there, and from there the walk goes on: nobody ends it
//! by moving a directory. Mounted file systems and whatever vanishes on the way are left out.
//!
//! However wide it is, a bounded number of names is in memory: of a directory with more directories than that some are read, entered
//! and forgotten before it is read on.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, RawDirEntry, SeekFrom, Stat, fstat, openat, seek, statat};
use rustix::io::{Errno, Result};

use crate::{Links, open_dir};

/// Ways that are gone down again in one walk; a tree that moves more than that has no end.
const RETURNS_MAX: usize = 100_000;
/// Names of directories that are read ahead.
const NAMES_BYTES_MAX: usize = 4 << 20;
/// What the kernel fills with entries at once.
const BUFFER_BYTES: usize = 32 << 10;

/// A file of the tree as it was found: `name` in the directory `parent`, not followed.
pub struct Entry<'a> {
    pub parent: &'a OwnedFd,
    pub name: &'a CStr,
    pub stat: Stat,
}

/// What is known of a directory that is being walked.
#[derive(Default)]
struct Found {
    /// Its directories that are still to be entered.
    left: Vec<CString>,
    /// Where it is to be read on, when that was put off.
    rest: Option<u64>,
}

/// A directory on the way down to where we are.
struct Level {
    identity: (u64, u64),
    found: Found,
    /// The one that was entered.
    entered: CString,
}

/// Visits everything below `root`, each directory after what is in it. `root` itself is not visited.
pub fn walk(root: &OwnedFd, visit: impl FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
    walk_within(root, NAMES_BYTES_MAX, visit)
}

/// Walks with a bound for the names of directories that are read ahead.
fn walk_within(root: &OwnedFd, names_bytes_max: usize, mut visit: impl FnMut(Entry<'_>) -> Result<()>) -> Result<()> {
    let mut current = open_dir(root, b"", Links::Refused)?;
    let mut names = Names { bytes: 0, bytes_max: names_bytes_max, buffer: vec![MaybeUninit::uninit(); BUFFER_BYTES] };
    let mut found = names.read(&current, 0, &mut visit)?;
    let mut levels: Vec<Level> = Vec::new();
    let mut returns = 0;
    loop {
        if let Some(name) = names.take(&mut found) {
            let child = match open_dir(&current, name.to_bytes(), Links::Refused) {
                Ok(child) => child,
                Err(Errno::NOENT | Errno::XDEV | Errno::LOOP | Errno::NOTDIR) => continue,
                Err(error) => return Err(error),
            };
            let below = names.read(&child, 0, &mut visit)?;
            let identity = identity(&fstat(&current)?);
            levels.push(Level { identity, found: std::mem::replace(&mut found, below), entered: name });
            current = child;
            continue;
        }
        if let Some(rest) = found.rest {
            found = names.read(&current, rest, &mut visit)?;
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
            let way = levels.len();
            let back = go_back(root, &mut levels)?;
            if levels.len() < way {
                names.recount(&levels);
            }
            back
        };
        let Some(level) = levels.pop() else { return Ok(()) };
        found = level.found;
        visit_one(&current, &level.entered, &mut visit)?;
    }
}

/// The names of directories that are read ahead, of all levels together. A directory is read on later rather than that they become too many.
struct Names {
    bytes: usize,
    bytes_max: usize,
    buffer: Vec<MaybeUninit<u8>>,
}

impl Names {
    /// Visits the files of a directory from a place on, and finds its directories: all, or as many as may be remembered. Each
    /// level takes a part of what those above it have left.
    fn read(&mut self, dir: &OwnedFd, from: u64, visit: &mut impl FnMut(Entry<'_>) -> Result<()>) -> Result<Found> {
        let bytes_max = self.bytes + self.bytes_max.saturating_sub(self.bytes) / 8;
        let mut found = Found::default();
        seek(dir, SeekFrom::Start(from))?;
        let mut entries = RawDir::new(dir, &mut self.buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            match is_directory(dir, &entry) {
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
                Ok(false) => visit_one(dir, name, visit)?,
                Ok(true) => {
                    self.bytes += size(name);
                    found.left.push(name.to_owned());
                    if self.bytes >= bytes_max {
                        found.rest = Some(entry.next_entry_cookie());
                        break;
                    }
                }
            }
        }
        Ok(found)
    }

    fn take(&mut self, found: &mut Found) -> Option<CString> {
        let name = found.left.pop()?;
        self.bytes -= size(&name);
        Some(name)
    }

    /// Counts again after levels were forgotten.
    fn recount(&mut self, levels: &[Level]) {
        self.bytes = levels.iter().flat_map(|level| &level.found.left).map(|name| size(name)).sum();
    }
}

/// What it takes to remember a name.
fn size(name: &CStr) -> usize {
    size_of::<CString>() + name.count_bytes() + 1
}

fn is_directory(dir: &OwnedFd, entry: &RawDirEntry<'_>) -> Result<bool> {
    let kind = match entry.file_type() {
        FileType::Unknown => {
            FileType::from_raw_mode(statat(dir, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
        }
        kind => kind,
    };
    Ok(kind == FileType::Directory)
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
    fn wider_than_memory() {
        let dir = tempfile::tempdir().unwrap();
        for (one, two) in (0..40).flat_map(|one| (0..10).map(move |two| (one, two))) {
            let below = dir.path().join(format!("d{one}/d{one}-{two}"));
            fs::create_dir_all(&below).unwrap();
            fs::write(below.join(format!("f{one}-{two}")), "").unwrap();
        }
        let whole = names(dir.path());
        let root = OwnedFd::from(File::open(dir.path()).unwrap());
        for bytes_max in [0, 100, 1000, 10_000] {
            let mut found = Vec::new();
            walk_within(&root, bytes_max, |entry| {
                found.push(entry.name.to_string_lossy().into_owned());
                Ok(())
            })
            .unwrap();
            let (mut found, mut whole) = (found, whole.clone());
            found.sort();
            whole.sort();
            assert_eq!(found, whole, "{bytes_max} bytes");
        }
        assert_eq!(whole.len(), 40 + 2 * 400);
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
