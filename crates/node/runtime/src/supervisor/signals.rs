//! Signals to children.

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::launch::report::{Result, Step};

/// Signals a child that has not been reaped, so its number cannot be another process's.
pub(super) fn send_signal(pid: i32, signal: i32) -> Result<()> {
    let number = Signal::try_from(signal);
    let sent = match number {
        Ok(signal) => kill(Pid::from_raw(pid), signal),
        // Real-time signals are none of nix's.
        // SAFETY: takes numbers only.
        Err(_) => nix::errno::Errno::result(unsafe { libc::kill(pid, signal) }).map(drop),
    };
    match sent {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error).step(|| format!("send signal {signal}")),
    }
}

/// Signals the process and its group; every exec'd process leads a session of its own.
pub(super) fn send_group_signal(pid: i32, signal: i32) -> Result<()> {
    if let Ok(signal) = Signal::try_from(signal) {
        let _ = killpg(Pid::from_raw(pid), signal);
    }
    send_signal(pid, signal)
}
