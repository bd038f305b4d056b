//! Owner, extended attributes, mode and times of a file that was just made.
//!
//! The order matters: changing the owner clears setuid bits and capabilities, so it comes first, and anything else moves
//! the times, so they come last. Attributes that would change what overlayfs makes of the layer are left out: they are ours to
//! write, and an archive that carries them tries to reach into other layers.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::{Errno, Result};

use crate::tar::{Entry, Timestamp};

const OVERLAY_PREFIXES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
/// 2^63 nanoseconds: what upstream (Go) can hold. Times outside become the epoch.
const SECONDS_MAX: i64 = i64::MAX / 1_000_000_000;

/// For an open file or directory. A directory's times are set later, when nothing more is put into it.
pub(super) fn apply(fd: &OwnedFd, entry: &Entry, with_times: bool) -> Result<()> {
    rustix::fs::fchown(fd, Some(uid(entry)), Some(gid(entry)))?;
    for (name, value) in &entry.xattrs {
        set_xattr(entry, name, |name| rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()))?;
    }
    rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))?;
    if with_times { rustix::fs::futimens(fd, &times(entry)) } else { Ok(()) }
}

/// For what cannot be opened without an effect (devices, symbolic links) or was there before (the target of a hard link):
/// `name` in `parent`, not followed.
pub(super) fn apply_at(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
    rustix::fs::chownat(parent, name, Some(uid(entry)), Some(gid(entry)), AtFlags::SYMLINK_NOFOLLOW)?;
    if !entry.xattrs.is_empty() {
        // There is no call that takes a directory and a name; the link in /proc leads to the directory itself.
        let path = [format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd()).as_bytes(), name].concat();
        for (name, value) in &entry.xattrs {
            set_xattr(entry, name, |name| rustix::fs::lsetxattr(&*path, name, value, XattrFlags::empty()))?;
        }
    }
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
    }
    rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
}

/// Modification time for both, as upstream sets them when the archive has no access time.
pub(super) fn mtime_only(mtime: Timestamp) -> Timestamps {
    Timestamps { last_access: timespec(mtime), last_modification: timespec(mtime) }
}

fn set_xattr(entry: &Entry, name: &[u8], set: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
    if OVERLAY_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        tracing::debug!(path = %entry.path.escape_ascii(), xattr = %name.escape_ascii(), "left out an overlayfs attribute");
        return Ok(());
    }
    match set(name) {
        // The file system cannot hold it, or `user.` is not for this kind of file: upstream runtimes go on without it.
        Err(error @ (Errno::OPNOTSUPP | Errno::PERM)) if error == Errno::OPNOTSUPP || name.starts_with(b"user.") => {
            tracing::debug!(path = %entry.path.escape_ascii(), xattr = %name.escape_ascii(), %error, "left out an attribute");
            Ok(())
        }
        other => other,
    }
}

fn uid(entry: &Entry) -> Uid {
    Uid::from_raw(entry.uid)
}

fn gid(entry: &Entry) -> Gid {
    Gid::from_raw(entry.gid)
}

fn times(entry: &Entry) -> Timestamps {
    Timestamps { last_access: timespec(entry.atime.unwrap_or(entry.mtime)), last_modification: timespec(entry.mtime) }
}

fn timespec(at: Timestamp) -> Timespec {
    if (0..SECONDS_MAX).contains(&at.seconds) {
        Timespec { tv_sec: at.seconds, tv_nsec: at.nanos.min(999_999_999).into() }
    } else {
        Timespec { tv_sec: 0, tv_nsec: 0 }
    }
}
