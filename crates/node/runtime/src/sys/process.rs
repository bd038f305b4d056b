//! Processes: `clone3`, descriptors of processes, and what a fork should not inherit.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal};

use super::mount::{check, own};

/// libc's constant of this name has overflowed its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What a new process is like.
#[derive(Default)]
pub(crate) struct Clone<'a> {
    /// First process of a new pid namespace.
    pub(crate) new_pid_namespace: bool,
    /// A child of the caller's parent instead of the caller's own.
    pub(crate) sibling: bool,
    /// Born in this cgroup (v2): moving it there later would cost a grace period of RCU.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// Who returned from [`fork`].
pub(crate) enum Forked {
    Parent { child: i32 },
    Child,
}

/// Makes a process that shares nothing with the caller but copies of everything.
///
/// # Safety
///
/// The calling process must have one thread only, so that no lock can be held by a thread that the child does not have.
pub(crate) unsafe fn fork(request: &Clone<'_>) -> io::Result<Forked> {
    // SAFETY: all-zero is a valid value of this plain structure.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    if request.sibling {
        // The signal at its end is the one that the parent asked for when it made the caller.
        arguments.flags |= libc::CLONE_PARENT as u64;
    } else {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    if request.new_pid_namespace {
        arguments.flags |= libc::CLONE_NEWPID as u64;
    }
    if let Some(cgroup) = request.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM and with a zero stack this is a fork; the structure outlives the call. That the caller has one
    // thread is this function's contract.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>()) };
    check(pid)?;
    Ok(if pid == 0 { Forked::Child } else { Forked::Parent { child: pid as i32 } })
}

/// A descriptor of a process; readable once it has ended.
pub(crate) fn pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only; returns a new descriptor or -1.
    own(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Puts the caller into namespaces: those that `flags` name of a process (`fd` from [`pidfd`]), or the one that `fd` is.
pub(crate) fn enter(fd: BorrowedFd<'_>, flags: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::setns(fd.as_raw_fd(), flags) }.into())
}

/// Closes every descriptor from `first` on, except `keep`.
pub(crate) fn close_descriptors(first: u32, keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(*fd).ok()).collect();
    keep.sort_unstable();
    let mut from = first;
    for fd in keep {
        if fd > from {
            close_range(from, fd - 1)?;
        }
        from = from.max(fd + 1);
    }
    close_range(from, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: closes by number; callers use it only where nothing in the closed range will be used again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })
}

/// Gives the process the signal state of a fresh one: nothing blocked, nothing ignored.
pub(crate) fn reset_signals() {
    let _ = nix::sys::signal::sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    for signal in Signal::iterator() {
        // SAFETY: the default action runs no code of ours. SIGKILL and SIGSTOP refuse, which is fine.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
}

/// `prctl` with one number.
pub(crate) fn prctl(option: i32, value: u64) -> io::Result<()> {
    // SAFETY: used for options whose arguments are numbers.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) }.into())
}

/// Names the process in lists (at most 15 bytes).
pub(crate) fn set_name(name: &std::ffi::CStr) {
    // SAFETY: the kernel copies at most 16 bytes of a valid C string.
    let _ = unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Ends the process at once, without destructors or buffers of the process that it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: never returns.
    unsafe { libc::_exit(code) }
}
