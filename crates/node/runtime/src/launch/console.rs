//! A terminal for a process, made in the container's own devpts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::report::{Result, Step};
use crate::sys::mount;
use crate::sys::path;

/// Both ends of a new terminal: master and slave. `root` is the container's root.
pub(crate) fn open(root: BorrowedFd<'_>) -> Result<(OwnedFd, OwnedFd)> {
    open_pair(root).step(|| "open a terminal in /dev/pts".to_owned())
}

fn open_pair(root: BorrowedFd<'_>) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = libc::O_RDWR | libc::O_NOCTTY;
    let master = path::open_in_root(root, Path::new("/dev/pts/ptmx"), flags)?;
    let unlocked: libc::c_int = 0;
    // SAFETY: the argument is a pointer to an int that outlives the call.
    succeeded(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) })?;
    // The kernel opens the other end itself: no path that the container could have prepared is involved.
    // SAFETY: the argument is open flags; the result is a new descriptor or -1.
    let slave = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags | libc::O_CLOEXEC) };
    succeeded(slave)?;
    // SAFETY: the kernel has just returned this descriptor, nobody else owns it.
    let slave = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(slave) };
    Ok((master, slave))
}

/// Shows the terminal as /dev/console.
pub(crate) fn bind(root: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<()> {
    let bind = || {
        let place = path::make_file(root, Path::new("/dev/console"))?;
        let tree = mount::clone_tree_fd(slave, false)?;
        mount::attach(tree.as_fd(), place.as_fd())
    };
    bind().step(|| "bind the terminal to /dev/console".to_owned())
}

/// Makes the terminal the controlling one of this session; the caller leads the session.
pub(crate) fn take_control(slave: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: takes a descriptor and a number.
    let result = unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) };
    succeeded(result).step(|| "take control of the terminal".to_owned())
}

fn succeeded(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
