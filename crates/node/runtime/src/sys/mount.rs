//! The mount API of file descriptors (`fsopen`, `open_tree`, `move_mount`, `mount_setattr`).
//!
//! A mount made with it is *detached*: it exists as a file descriptor, can be sent to another process, and vanishes with its
//! last descriptor. That is why a container's root file system never shows in the node's mount table and nothing has to be
//! unmounted after a crash. Needs Linux 5.12.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Attributes of one mount (not of its file system).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes(pub(crate) u64);

impl Attributes {
    pub(crate) const READ_ONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    pub(crate) const NO_SUID: Self = Self(libc::MOUNT_ATTR_NOSUID);
    pub(crate) const NO_DEV: Self = Self(libc::MOUNT_ATTR_NODEV);
    pub(crate) const NO_EXEC: Self = Self(libc::MOUNT_ATTR_NOEXEC);
    pub(crate) const STRICT_ATIME: Self = Self(libc::MOUNT_ATTR_STRICTATIME);

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Attributes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How mounts made later on one side show on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Private,
    /// Receives, does not send.
    Slave,
    Shared,
}

impl Propagation {
    fn flag(self) -> u64 {
        match self {
            Self::Private => libc::MS_PRIVATE,
            Self::Slave => libc::MS_SLAVE,
            Self::Shared => libc::MS_SHARED,
        }
    }
}

/// A file system being configured.
pub(crate) struct FsContext(OwnedFd);

impl FsContext {
    pub(crate) fn open(fs_type: &str) -> io::Result<Self> {
        let name = c_string(fs_type.as_bytes())?;
        // SAFETY: the name is a valid C string for the length of the call, which returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), libc::FSOPEN_CLOEXEC) };
        own(fd).map(Self)
    }

    /// Sets `key=value`. The kernel takes at most 255 bytes for a value.
    pub(crate) fn set(&self, key: &str, value: &[u8]) -> io::Result<()> {
        let value = c_string(value)?;
        self.configure(libc::FSCONFIG_SET_STRING, Some(key), Some(&value))
    }

    pub(crate) fn set_flag(&self, key: &str) -> io::Result<()> {
        self.configure(libc::FSCONFIG_SET_FLAG, Some(key), None)
    }

    /// Makes the superblock and a detached mount of it.
    pub(crate) fn mount(self, attributes: Attributes) -> io::Result<OwnedFd> {
        self.configure(libc::FSCONFIG_CMD_CREATE, None, None)?;
        // SAFETY: takes a descriptor and flags only; returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), libc::FSMOUNT_CLOEXEC, attributes.0) };
        own(fd).map_err(|error| self.explain(error))
    }

    fn configure(&self, command: libc::c_uint, key: Option<&str>, value: Option<&CString>) -> io::Result<()> {
        let key = key.map(|key| c_string(key.as_bytes())).transpose()?;
        let key_ptr = key.as_ref().map_or(std::ptr::null(), |key| key.as_ptr());
        let value_ptr = value.map_or(std::ptr::null(), |value| value.as_ptr());
        // SAFETY: both pointers are null or valid C strings that outlive the call.
        let result = unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key_ptr, value_ptr, 0) };
        check(result).map_err(|error| self.explain(error))
    }

    /// The kernel leaves sentences about a failure on the context; they say more than the error number.
    fn explain(&self, error: io::Error) -> io::Error {
        let mut buffer = [0u8; 512];
        let Ok(length) = nix::unistd::read(self.0.as_raw_fd(), &mut buffer) else { return error };
        let text = String::from_utf8_lossy(&buffer[..length]);
        let text = text.trim().trim_start_matches(['e', 'w', 'i']).trim_start().to_owned();
        if text.is_empty() { error } else { io::Error::new(error.kind(), Explained { error, text }) }
    }
}

/// An error number with the kernel's own sentence.
#[derive(Debug, thiserror::Error)]
#[error("{error} ({text})")]
struct Explained {
    error: io::Error,
    text: String,
}

/// The error number of an error of this module, also of one that carries the kernel's sentence.
pub(crate) fn errno_of(error: &io::Error) -> Option<i32> {
    error.raw_os_error().or_else(|| {
        error.get_ref().and_then(|inner| inner.downcast_ref::<Explained>()).and_then(|e| e.error.raw_os_error())
    })
}

/// Clones the mount at `path` (with all mounts below when `recursive`) into a detached tree, in the same peer group.
pub(crate) fn clone_tree(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let path = c_string(path.as_os_str().as_bytes())?;
    open_tree(libc::AT_FDCWD, &path, recursive, 0)
}

/// As [`clone_tree`] for what `fd` refers to.
pub(crate) fn clone_tree_fd(fd: BorrowedFd<'_>, recursive: bool) -> io::Result<OwnedFd> {
    open_tree(fd.as_raw_fd(), c"", recursive, libc::AT_EMPTY_PATH)
}

fn open_tree(dir: i32, path: &std::ffi::CStr, recursive: bool, flags: i32) -> io::Result<OwnedFd> {
    let recursion = if recursive { libc::AT_RECURSIVE } else { 0 };
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | (recursion | flags) as libc::c_uint;
    // SAFETY: the path is a valid C string for the length of the call, which returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) };
    own(fd)
}

/// Attaches a detached mount on what `target` refers to (a directory or a file in the caller's mount namespace).
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    move_mount(mount, target.as_raw_fd())
}

/// Attaches a detached mount on the working directory.
pub(crate) fn attach_on_working_directory(mount: BorrowedFd<'_>) -> io::Result<()> {
    move_mount(mount, libc::AT_FDCWD)
}

fn move_mount(mount: BorrowedFd<'_>, target: i32) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: descriptors and empty C strings only.
    let result =
        unsafe { libc::syscall(libc::SYS_move_mount, mount.as_raw_fd(), c"".as_ptr(), target, c"".as_ptr(), flags) };
    check(result)
}

/// A change of a mount's attributes, applied at once.
#[derive(Default)]
pub(crate) struct Change<'a> {
    pub(crate) set: Attributes,
    pub(crate) propagation: Option<Propagation>,
    /// Maps owners through this user namespace; only on detached mounts.
    pub(crate) id_map: Option<BorrowedFd<'a>>,
    pub(crate) recursive: bool,
}

/// Applies `change` to the mount that `mount` is the root of.
pub(crate) fn change(mount: BorrowedFd<'_>, change: &Change<'_>) -> io::Result<()> {
    let mut attributes = libc::mount_attr {
        attr_set: change.set.0,
        attr_clr: 0,
        propagation: change.propagation.map_or(0, Propagation::flag),
        userns_fd: 0,
    };
    if change.set.0 & libc::MOUNT_ATTR__ATIME != 0 {
        attributes.attr_clr |= libc::MOUNT_ATTR__ATIME;
    }
    if let Some(id_map) = change.id_map {
        attributes.attr_set |= libc::MOUNT_ATTR_IDMAP;
        attributes.userns_fd = id_map.as_raw_fd() as u64;
    }
    let recursion = if change.recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the attribute structure outlives the call and its size is passed with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursion,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result)
}

/// Makes a detached mount of a fresh file system.
pub(crate) fn fresh(
    fs_type: &str,
    options: &[(impl AsRef<str>, Option<impl AsRef<str>>)],
    attributes: Attributes,
) -> io::Result<OwnedFd> {
    let context = FsContext::open(fs_type)?;
    // What tables of mounts show as the device.
    context.set("source", fs_type.as_bytes())?;
    for (key, value) in options {
        match value {
            Some(value) => context.set(key.as_ref(), value.as_ref().as_bytes())?,
            None => context.set_flag(key.as_ref())?,
        }
    }
    context.mount(attributes)
}

/// Unmounts what is mounted on `path`, if anything is; busy mounts go when their last user does.
pub(crate) fn detach(path: &Path) -> io::Result<()> {
    let flags = nix::mount::MntFlags::MNT_DETACH | nix::mount::MntFlags::UMOUNT_NOFOLLOW;
    match nix::mount::umount2(path, flags) {
        // EINVAL: nothing is mounted there.
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Bind-mounts the file `source` on the file `target`; used to pin namespaces.
pub(crate) fn bind_file(source: &Path, target: &Path) -> io::Result<()> {
    let tree = clone_tree(source, false)?;
    let target = std::fs::File::open(target)?;
    attach(tree.as_fd(), target.as_fd())
}

pub(super) fn c_string(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

pub(super) fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(super) fn own(fd: libc::c_long) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
