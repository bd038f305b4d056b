//! Mounting and unmounting.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount, mount_remount, move_mount, open_tree, unmount,
};

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

/// One line of mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountPoint {
    pub(crate) path: PathBuf,
    /// `major:minor`
    pub(crate) device: String,
}

/// Everything mounted at or below `base`, what was mounted last first.
pub(crate) fn mounted_below(base: &Path) -> io::Result<Vec<MountPoint>> {
    let base = match std::fs::canonicalize(base) {
        Ok(base) => base,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = std::fs::read("/proc/thread-self/mountinfo")?;
    let mut found: Vec<MountPoint> = text.split(|b| *b == b'\n').filter_map(parse_line).collect();
    found.retain(|mount| mount.path.starts_with(&base));
    found.reverse();
    Ok(found)
}

/// Takes everything that is mounted below `base` out of the tree, what was mounted last first.
pub fn unmount_below(base: &Path) -> io::Result<()> {
    for mount in mounted_below(base)?.into_iter().filter(|mount| mount.path != base) {
        unmount(&mount.path, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH)?;
    }
    Ok(())
}

/// `36 35 98:0 /root /mount/point options … - type source options`
fn parse_line(line: &[u8]) -> Option<MountPoint> {
    use std::os::unix::ffi::OsStringExt;
    let mut fields = line.split(|b| *b == b' ');
    let device = String::from_utf8(fields.nth(2)?.to_vec()).ok()?;
    let path = unescape(fields.nth(1)?);
    Some(MountPoint { path: PathBuf::from(std::ffi::OsString::from_vec(path)), device })
}

/// The kernel writes blanks, tabs, line feeds and backslashes as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo() {
        let line = br"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 - ext3 /dev/root rw";
        let expected = MountPoint { path: "/mnt 2\\x".into(), device: "98:0".into() };
        assert_eq!(parse_line(line), Some(expected));
        assert_eq!(parse_line(b""), None);
        assert_eq!(unescape(br"a\08\9"), br"a\08\9");
        assert!(mounted_below(Path::new("/proc")).unwrap().iter().any(|mount| mount.path == Path::new("/proc")));
        assert!(mounted_below(Path::new("/does/not/exist")).unwrap().is_empty());
    }
}
