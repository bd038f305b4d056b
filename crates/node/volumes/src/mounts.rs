//! Mounting and unmounting.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_remount, move_mount, open_tree, unmount,
};
use windlass_tree::Mount;

/// A tmpfs of that many bytes (0: the kernel's default). Its pages are not swapped where the kernel can do without.
pub(crate) fn mount_tmpfs(target: &Path, size_bytes: u64) -> io::Result<()> {
    let size = if size_bytes > 0 { format!("size={size_bytes}") } else { String::new() };
    let options =
        [size.as_str(), "noswap"].into_iter().filter(|option| !option.is_empty()).collect::<Vec<_>>().join(",");
    match mount_fs("tmpfs", target, "tmpfs", MountFlags::empty(), &options) {
        // Before Linux 6.4.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            mount_fs("tmpfs", target, "tmpfs", MountFlags::empty(), &size)
        }
        other => other,
    }
}

pub(crate) fn mount_huge_pages(target: &Path, page_bytes: u64) -> io::Result<()> {
    mount_fs("nodev", target, "hugetlbfs", MountFlags::empty(), &format!("pagesize={page_bytes}"))
}

pub(crate) fn mount_fs(
    source: impl rustix::path::Arg,
    target: &Path,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> io::Result<()> {
    let options = std::ffi::CString::new(options).map_err(|_| Errno::INVAL)?;
    Ok(mount(source, target, kind, flags, options.as_c_str())?)
}

/// Mounts what `source` holds at `target` as well, without file systems mounted below it.
pub(crate) fn bind(source: &OwnedFd, target: &Path) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(source, c"", flags)?;
    Ok(move_mount(&tree, c"", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Changes the options of a bind mount.
pub(crate) fn restrict(target: &Path, flags: MountFlags) -> io::Result<()> {
    if flags.is_empty() {
        return Ok(());
    }
    Ok(mount_remount(target, flags | MountFlags::BIND, c"")?)
}

/// Unmounts what is at `target`, if anything. What is still in use is taken out of the tree and ends when its last user does:
/// the containers are gone by now, and data are not lost by it.
pub(crate) fn detach(target: &Path) -> io::Result<()> {
    match unmount(target, UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(Errno::BUSY) => {
            tracing::warn!(path = %target.display(), "detaching a volume that is still in use");
            match unmount(target, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH) {
                Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
                Err(error) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens a place without an effect on what is there; links are followed.
pub(crate) fn open_place(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
}

/// Everything mounted at or below `base`, what was mounted last first.
pub(crate) fn mounted_below(base: &Path) -> io::Result<Vec<Mount>> {
    let base = match std::fs::canonicalize(base) {
        Ok(base) => base,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = windlass_tree::mounts()?;
    found.retain(|mount| mount.point.starts_with(&base));
    found.reverse();
    Ok(found)
}

/// Takes everything that is mounted below `base` out of the tree, what was mounted last first.
pub fn unmount_below(base: &Path) -> io::Result<()> {
    for mount in mounted_below(base)?.into_iter().filter(|mount| mount.point != base) {
        unmount(&mount.point, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted() {
        assert!(mounted_below(Path::new("/proc")).unwrap().iter().any(|mount| mount.point == Path::new("/proc")));
        assert!(mounted_below(Path::new("/does/not/exist")).unwrap().is_empty());
    }
}
