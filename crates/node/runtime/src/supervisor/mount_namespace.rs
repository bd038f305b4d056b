//! One mount namespace for all daemons of a node's lifetime.
//!
//! Volumes are mounted by the daemon and seen by containers whose processes the supervisor makes, so both must be in the same
//! mount namespace, also after the daemon was restarted. The first daemon makes the namespace; the supervisor keeps it; later
//! daemons enter it.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::protocol::{ClientFrame, PROTOCOL, Request, SOCKET};
use super::spawn;
use super::wire::{Inbox, Outbox};
use crate::sys::process;

/// How long a live supervisor may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Puts this process into the mount namespace of the node. Must be called early in `main`, before any thread exists.
///
/// When a supervisor lives for `root` ([`crate::Options::root`]), its namespace is entered and the result is true. Otherwise a
/// new namespace is made in which all mounts are shared (as the kubelet's mount propagation needs), and the result is false.
/// Errors: no privilege, or a supervisor that does not answer within ten seconds.
pub fn join_mount_namespace(root: &Path) -> io::Result<bool> {
    if let Some(socket) = spawn::connect(&root.join(SOCKET))? {
        let namespace = ask_for_namespace(socket)?;
        process::enter(namespace.as_fd(), libc::CLONE_NEWNS)?;
        return Ok(true);
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    let shared = nix::mount::MsFlags::MS_SHARED | nix::mount::MsFlags::MS_REC;
    nix::mount::mount(none, "/", none, shared, none)?;
    Ok(false)
}

fn ask_for_namespace(socket: UnixStream) -> io::Result<std::os::fd::OwnedFd> {
    socket.set_nonblocking(true)?;
    let hello = serde_json::to_vec(&ClientFrame { id: 1, request: Request::Hello { protocol: PROTOCOL } })?;
    let mut outbox = Outbox::default();
    outbox.push(&hello, Vec::new()).map_err(io::Error::other)?;
    outbox.flush(socket.as_fd()).map_err(io::Error::other)?;
    let mut inbox = Inbox::default();
    loop {
        let mut poll = [nix::poll::PollFd::new(socket.as_fd(), nix::poll::PollFlags::POLLIN)];
        let timeout = u16::try_from(ANSWER_MAX.as_millis()).unwrap_or(u16::MAX);
        if nix::poll::poll(&mut poll, timeout)? == 0 {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the supervisor does not answer"));
        }
        let open = inbox.fill(socket.as_fd()).map_err(io::Error::other)?;
        // The first frame is the answer: events only follow it. Its text need not be understood to take the namespace, so
        // that this works across versions of the protocol.
        if let Some(mut frame) = inbox.next().map_err(io::Error::other)? {
            return frame.fds.pop().ok_or_else(|| io::Error::other("the supervisor did not send its mount namespace"));
        }
        if !open {
            return Err(io::Error::other("the supervisor closed the connection"));
        }
    }
}
