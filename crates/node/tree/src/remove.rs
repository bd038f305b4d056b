//! Removing a directory tree that a stranger shaped: in bounded memory, stack and file descriptors, however deep it is, and
//! without following anything. A mounted file system below it is never entered: what it holds is not ours to remove.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, renameat, unlinkat};
use rustix::io::{Errno, Result};

use crate::Links;

/// Deeper directories are first moved up beside the tree's root.
const DEPTH_MAX: usize = 64;

/// Removes `name` in `parent`, whatever it is; what is not there counts as removed. Something mounted below ends the
/// removal with EXDEV or EBUSY.
pub fn remove(parent: impl AsFd, name: impl rustix::path::Arg) -> Result<()> {
    let name = name.into_c_str()?.into_owned();
    match unlinkat(&parent, &name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // Linux says EISDIR for a directory, POSIX would say EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error),
    }
    // Directories that lay too deep wait here under names of their own.
    let root = open_dir(&parent, &name)?;
    let mut moved = Vec::new();
    let mut next = 0_u64;
    let mut defer = |dir: &OwnedFd, child: &CString| -> Result<Option<CString>> {
        loop {
            let aside = CString::new(format!(".windlass-rm-{next}")).map_err(|_| Errno::INVAL)?;
            next += 1;
            match rustix::fs::renameat_with(dir, child, &root, &aside, rustix::fs::RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(Some(aside)),
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(None),
                // File systems without RENAME_NOREPLACE.
                Err(Errno::INVAL) => return renameat(dir, child, &root, &aside).map(|()| Some(aside)),
                Err(error) => return Err(error),
            }
        }
    };
    empty(&root, Level::Root, &mut defer, &mut moved)?;
    while let Some(aside) = moved.pop() {
        match open_dir(&root, &aside) {
            Ok(dir) => empty(&dir, Level::Below(0), &mut defer, &mut moved)?,
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        }
        ignore_missing(unlinkat(&root, &aside, AtFlags::REMOVEDIR))?;
    }
    ignore_missing(unlinkat(&parent, &name, AtFlags::REMOVEDIR))
}

type Defer<'a> = dyn FnMut(&OwnedFd, &CString) -> Result<Option<CString>> + 'a;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    /// The tree's root, where deferred directories wait.
    Root,
    /// That many directories below the root or below a deferred directory.
    Below(usize),
}

fn empty(dir: &OwnedFd, level: Level, defer: &mut Defer<'_>, moved: &mut Vec<CString>) -> Result<()> {
    // Unlinking while reading a directory may skip entries on some file systems: another pass sees them.
    loop {
        let mut found = false;
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..")
                || (level == Level::Root && moved.iter().any(|m| m.as_c_str() == name))
            {
                continue;
            }
            found = true;
            if entry.file_type() != FileType::Directory {
                match unlinkat(dir, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => continue,
                    Err(Errno::ISDIR) => {}
                    Err(error) => return Err(error),
                }
            }
            let below = match level {
                Level::Root => 0,
                Level::Below(depth) => depth + 1,
            };
            if below > DEPTH_MAX {
                moved.extend(defer(dir, &name.to_owned())?);
                continue;
            }
            let child = open_dir(dir, name)?;
            empty(&child, Level::Below(below), defer, moved)?;
            ignore_missing(unlinkat(dir, name, AtFlags::REMOVEDIR))?;
        }
        if !found {
            return Ok(());
        }
    }
}

fn open_dir(parent: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    crate::open_dir(parent, name.to_bytes(), Links::Refused)
}

fn ignore_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn files_links_and_trees() {
        let dir = tempfile::tempdir().unwrap();
        let parent = File::open(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("tree/a/b")).unwrap();
        fs::write(dir.path().join("keep"), "").unwrap();
        std::os::unix::fs::symlink(dir.path().join("keep"), dir.path().join("tree/a/link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("tree/up")).unwrap();
        for i in 0..2000 {
            fs::write(dir.path().join(format!("tree/{i}")), "").unwrap();
        }
        remove(&parent, "tree").unwrap();
        remove(&parent, "tree").unwrap();
        assert!(!dir.path().join("tree").exists());
        assert!(dir.path().join("keep").exists());
        remove(&parent, "keep").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_tree_deeper_than_stack_and_descriptors_allow() {
        let dir = tempfile::tempdir().unwrap();
        let parent = File::open(dir.path()).unwrap();
        rustix::fs::mkdirat(&parent, "deep", rustix::fs::Mode::RWXU).unwrap();
        let mut at = open_dir(&parent, c"deep").unwrap();
        for level in 0..5_000 {
            rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
            if level % 500 == 0 {
                rustix::fs::mkdirat(&at, "side", rustix::fs::Mode::RWXU).unwrap();
            }
            at = open_dir(&at, c"d").unwrap();
        }
        drop(at);
        remove(&parent, "deep").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
