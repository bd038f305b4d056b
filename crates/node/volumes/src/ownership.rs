//! fsGroup: a volume's files belong to the group, and the group may use them.
//!
//! Files get the group and `rw` for it (`r` in volumes that are read-only), directories also `x` and the setgid bit, so that what
//! is made later belongs to the group as well. As upstream's volume_linux.go. Containers may be changing the tree
//! meanwhile: every file is held by a descriptor while it is changed, so that a link put in its place changes nothing else.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, chmod, chownat, fstat, openat};
use rustix::io::Errno;

const READ_WRITE: u32 = 0o660;
const READ_ONLY: u32 = 0o440;
const DIRECTORY: u32 = 0o2110;

/// What a volume's files are to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ownership {
    pub(crate) group: u32,
    pub(crate) read_only: bool,
    /// Leave everything as it is when the root looks right (`fsGroupChangePolicy: OnRootMismatch`).
    pub(crate) only_on_root_mismatch: bool,
}

/// Changes everything below `root`, which may be a file, then `root` itself: so a run that was cut short is seen by its
/// root. Single files that cannot be changed are passed over, as upstream does.
pub(crate) fn apply(root: &Path, wanted: Ownership) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd: OwnedFd = rustix::fs::open(root, flags, Mode::empty())?;
    if wanted.only_on_root_mismatch && looks_right(&fstat(&fd)?, wanted) {
        return Ok(());
    }
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) == FileType::Directory {
        windlass_tree::walk(&fd, |entry| {
            match openat(entry.parent, entry.name, flags, Mode::empty()) {
                Ok(file) => change(&file, wanted),
                Err(Errno::NOENT) => {}
                Err(error) => tracing::warn!(name = ?entry.name, %error, "failed to open a file of a volume"),
            }
            Ok(())
        })?;
    }
    change(&fd, wanted);
    Ok(())
}

fn mask(is_directory: bool, wanted: Ownership) -> u32 {
    let bits = if wanted.read_only { READ_ONLY } else { READ_WRITE };
    if is_directory { bits | DIRECTORY } else { bits }
}

fn looks_right(stat: &rustix::fs::Stat, wanted: Ownership) -> bool {
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let mask = mask(true, wanted);
    is_directory && stat.st_gid == wanted.group && stat.st_mode & mask == mask
}

fn change(file: &OwnedFd, wanted: Ownership) {
    let change = || {
        let stat = fstat(file)?;
        chownat(file, c"", None, Some(Gid::from_raw(wanted.group)), AtFlags::EMPTY_PATH)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        // A link has no mode of its own.
        if kind == FileType::Symlink {
            return Ok(());
        }
        let mode = stat.st_mode & 0o7777 | mask(kind == FileType::Directory, wanted);
        // The descriptor is of a place only, and this link leads to that place, whatever has its name by now.
        chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), Mode::from_raw_mode(mode))
    };
    if let Err(error) = change() {
        tracing::warn!(%error, "failed to change the owner of a volume's file");
    }
}
