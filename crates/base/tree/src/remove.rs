//! Removing a directory tree that a stranger shaped: in bounded memory, stack and file descriptors, however deep it is, and
//! without following anything. A mounted file system below it is never entered: what it holds is not ours to remove.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, IFlags, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::{Errno, Result};

use crate::Links;

/// Directories below the tree's root that are emptied one in the other; what lies deeper is moved up beside the first of them.
const DEPTH_MAX: usize = 32;

/// Directories waiting in the root whose names are remembered; the next pass over the root finds all others.
const MOVED_MAX: usize = 1024;

/// Removes what is at `path`, as [`remove`] does. The path's own directories are trusted.
pub fn remove_path(path: &std::path::Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
    let parent = if parent.as_os_str().is_empty() { std::path::Path::new(".") } else { parent };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => remove(parent, name),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what is in the directory at `path`, which stays: something may be mounted there. What file systems keep for themselves
/// (`lost+found`) goes with it, and they do without.
pub fn empty_path(path: &std::path::Path) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(path, flags, Mode::empty())?;
    Removal { root, moved: Vec::new(), next: 0 }.run()
}

/// Removes `name` in `parent`, whatever it is; what is not there counts as removed. Something mounted below ends the
/// removal with EXDEV or EBUSY.
pub fn remove(parent: impl AsFd, name: impl rustix::path::Arg) -> Result<()> {
    let name = name.into_c_str()?.into_owned();
    if !unlink_file(&parent, &name)? {
        return Ok(());
    }
    let root = match open_dir(&parent, &name) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    Removal { root, moved: Vec::new(), next: 0 }.run()?;
    unlink(&parent, &name, AtFlags::REMOVEDIR)
}

/// A tree that is being removed.
struct Removal {
    root: OwnedFd,
    /// Directories that lay too deep wait in the root under names of their own.
    moved: Vec<CString>,
    next: u64,
}

/// A directory on the way down to where we are.
struct Level {
    directory: OwnedFd,
    entries: Dir,
    name: CString,
    /// Whether something was removed in this pass over it.
    found: bool,
}

impl Removal {
    fn run(&mut self) -> Result<()> {
        // Moved directories appear in the root while it is read: each pass takes whatever it finds, until one finds nothing.
        loop {
            let mut found = false;
            for entry in Dir::read_from(&self.root)? {
                let name = entry?.file_name().to_owned();
                if !matches!(name.to_bytes(), b"." | b"..") {
                    found = true;
                    self.empty(name)?;
                }
            }
            while let Some(name) = self.moved.pop() {
                self.empty(name)?;
            }
            if !found {
                return Ok(());
            }
        }
    }

    /// Removes `top`, which is in the root, with everything in it.
    fn empty(&mut self, top: CString) -> Result<()> {
        let mut levels = Vec::new();
        if unlink_file(&self.root, &top)? {
            levels.extend(enter(&self.root, top)?);
        }
        loop {
            let depth = levels.len();
            let Some(level) = levels.last_mut() else { return Ok(()) };
            if let Some(entry) = level.entries.read() {
                let name = entry?.file_name().to_owned();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                level.found = true;
                if !unlink_file(&level.directory, &name)? {
                    continue;
                }
                if depth >= DEPTH_MAX {
                    self.move_up(&level.directory, &name)?;
                } else if let Some(below) = enter(&level.directory, name)? {
                    levels.push(below);
                }
                continue;
            }
            // Unlinking while reading a directory may skip entries on some file systems: another pass sees them.
            if std::mem::take(&mut level.found) {
                level.entries = Dir::read_from(&level.directory)?;
                continue;
            }
            let Some(done) = levels.pop() else { return Ok(()) };
            let parent = levels.last().map_or(&self.root, |level| &level.directory);
            unlink(parent, &done.name, AtFlags::REMOVEDIR)?;
        }
    }

    fn move_up(&mut self, directory: &OwnedFd, name: &CStr) -> Result<()> {
        // A directory that moves gets another `..`, so it must be writable itself, and neither of the two may be frozen.
        thaw(directory);
        loop {
            let aside = CString::new(format!(".windlass-rm-{}", self.next)).map_err(|_| Errno::INVAL)?;
            self.next += 1;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            let moved = match rustix::fs::renameat_with(directory, name, &self.root, &aside, flags) {
                // File systems without RENAME_NOREPLACE.
                Err(Errno::INVAL) => renameat(directory, name, &self.root, &aside),
                Err(Errno::PERM) => {
                    thaw(&self.root);
                    thaw(&open_dir(directory, name)?);
                    rustix::fs::renameat_with(directory, name, &self.root, &aside, flags)
                }
                other => other,
            };
            match moved {
                Ok(()) if self.moved.len() < MOVED_MAX => self.moved.push(aside),
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

fn enter(parent: &OwnedFd, name: CString) -> Result<Option<Level>> {
    let directory = match open_dir(parent, &name) {
        Err(Errno::NOENT) => return Ok(None),
        other => other?,
    };
    let entries = Dir::read_from(&directory)?;
    Ok(Some(Level { directory, entries, name, found: false }))
}

/// Removes `name` unless it is a directory; says whether it is one.
fn unlink_file(parent: impl AsFd, name: &CStr) -> Result<bool> {
    match unlink(&parent, name, AtFlags::empty()) {
        Ok(()) => Ok(false),
        // Linux says EISDIR for a directory, POSIX would say EPERM.
        Err(error @ (Errno::ISDIR | Errno::PERM)) => match statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(true),
            Ok(_) => Err(error),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Unlinks, also what its owner has made immutable or append-only, or what lies in such a directory.
fn unlink(parent: impl AsFd, name: &CStr, flags: AtFlags) -> Result<()> {
    let result = match unlinkat(&parent, name, flags) {
        Err(Errno::PERM) => {
            if let Ok(directory) = crate::open_dir(&parent, b"", Links::Refused) {
                thaw(&directory);
            }
            if let Ok(file) = openat_file(&parent, name) {
                thaw(&file);
            }
            unlinkat(&parent, name, flags)
        }
        other => other,
    };
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// A regular file or directory, for its flags. Nothing else can have any, and nothing else may be opened.
fn openat_file(parent: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    let kind = FileType::from_raw_mode(statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    if !matches!(kind, FileType::RegularFile | FileType::Directory) {
        return Err(Errno::INVAL);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// Takes away the flags that forbid changes; where that fails, so will the change, and that is reported.
fn thaw(file: &OwnedFd) {
    let frozen = IFlags::IMMUTABLE | IFlags::APPEND;
    if let Ok(flags) = rustix::fs::ioctl_getflags(file)
        && flags.intersects(frozen)
    {
        let _ = rustix::fs::ioctl_setflags(file, flags - frozen);
    }
}

fn open_dir(parent: impl AsFd, name: &CStr) -> Result<OwnedFd> {
    crate::open_dir(parent, name.to_bytes(), Links::Refused)
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
    fn a_mount_point_is_emptied_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/file"), "").unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        empty_path(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// Directories one in the other, with a side arm now and then.
    fn deep(parent: &File, name: &str, levels: u32) {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkdirat(parent, name, mode).unwrap();
        let mut at = open_dir(parent, &CString::new(name).unwrap()).unwrap();
        for level in 0..levels {
            rustix::fs::mkdirat(&at, "d", mode).unwrap();
            if level % 500 == 0 {
                rustix::fs::mkdirat(&at, "side", mode).unwrap();
            }
            at = open_dir(&at, c"d").unwrap();
        }
    }

    #[test]
    fn a_tree_deeper_than_stack_and_descriptors_allow() {
        let dir = tempfile::tempdir().unwrap();
        let parent = File::open(dir.path()).unwrap();
        deep(&parent, "deep", 20_000);
        // On a stack on which recursion would not get far.
        let remove = move || remove(&parent, "deep").unwrap();
        std::thread::Builder::new().stack_size(128 << 10).spawn(remove).unwrap().join().unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    /// More directories below the depth at which they are moved up than are remembered, and more files than one reading returns.
    #[test]
    fn a_tree_that_is_wide() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("d/".repeat(DEPTH_MAX + 1))).unwrap();
        let [top, deep] = [tree.clone(), tree.join("d/".repeat(DEPTH_MAX + 1))].map(|path| File::open(path).unwrap());
        for number in 0..2 * MOVED_MAX + 10 {
            rustix::fs::mkdirat(&deep, number.to_string(), Mode::RWXU).unwrap();
        }
        for number in 0..100_000 {
            rustix::fs::mknodat(&top, format!("file-{number}"), FileType::RegularFile, Mode::RWXU, 0).unwrap();
        }
        assert_eq!(
            crate::usage(&dir.path().join("tree")).unwrap().inodes as usize,
            100_000 + 2 * MOVED_MAX + DEPTH_MAX + 12
        );
        remove_path(&dir.path().join("tree")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_modes_and_flags() {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let parent = File::open(dir.path()).unwrap();
        let tree = dir.path().join("tree");
        let odd = tree.join(std::ffi::OsStr::from_bytes(b"\xff\xfe\n"));
        fs::create_dir_all(odd.join("closed/inner")).unwrap();
        fs::write(odd.join("closed/inner/file"), "").unwrap();
        fs::write(tree.join(".windlass-rm-0"), "").unwrap();
        fs::set_permissions(odd.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        rustix::fs::mknodat(&parent, "tree/fifo", FileType::Fifo, Mode::RWXU, 0).unwrap();
        // A file system without flags says so, and there is nothing to test.
        for path in [odd.join("closed/inner/file"), odd.join("closed/inner"), tree.clone()] {
            let file = File::open(&path).unwrap();
            if let Ok(flags) = rustix::fs::ioctl_getflags(&file) {
                let _ = rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE);
            }
        }
        remove_path(&tree).unwrap();
        remove_path(&tree).unwrap();
        remove_path(&dir.path().join("no/such")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_mounted_inside_stays() {
        use rustix::mount::UnmountFlags;
        let dir = tempfile::tempdir().unwrap();
        let (precious, place) = (dir.path().join("precious"), dir.path().join("tree/a/mounted"));
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "kept").unwrap();
        fs::create_dir_all(&place).unwrap();
        rustix::mount::mount_bind(&precious, &place).unwrap();
        rustix::mount::mount_change(&place, rustix::mount::MountPropagationFlags::PRIVATE).unwrap();
        let refused = remove_path(&dir.path().join("tree")).unwrap_err();
        rustix::mount::unmount(&place, UnmountFlags::DETACH).unwrap();
        assert!(matches!(refused, Errno::XDEV | Errno::BUSY), "{refused}");
        assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "kept");
        remove_path(&dir.path().join("tree")).unwrap();
    }
}
