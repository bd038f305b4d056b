//! The supervisor: the parent of all containers of a node, a small process with one thread that outlives the daemon.
//!
//! It is the same program as the daemon, executed again. It makes containers' processes, holds the other ends of their
//! streams, writes their logs, and reaps them; it decides nothing. A daemon commands it through a Unix socket
//! (`supervisor.sock` below the runtime's root) and may crash or be replaced at any time: the next one finds everything again
//! by asking for the list. If the supervisor itself ends, its containers are lost and the daemon cleans them up.
//!
//! - `protocol`, `wire`: what is said, and how
//! - `entry`: from `exec` to the loop
//! - `server`, `child`: what the supervisor has; `event_loop`, `requests`, `children`, `streams`: what it does; `source`, `signals`,
//!   `log_file`, `poller`: what it uses
//! - `client`, `spawn`, `link`: the daemon's side
//! - `mount_namespace`: how a daemon comes to see the same mounts as the supervisor

mod child;
mod children;
pub(crate) mod client;
mod entry;
mod event_loop;
pub(crate) mod link;
mod log_file;
mod mount_namespace;
mod poller;
pub(crate) mod protocol;
mod requests;
mod server;
mod signals;
mod source;
mod spawn;
mod streams;
mod wire;

/// Whether a supervisor lives for `root` ([`crate::Options::root`]).
pub fn is_running(root: &std::path::Path) -> std::io::Result<bool> {
    spawn::connect(&root.join(protocol::SOCKET)).map(|socket| socket.is_some())
}

pub use entry::{OPEN_FILES, main};
pub use mount_namespace::join_mount_namespace;
pub(crate) use streams::set_window;
