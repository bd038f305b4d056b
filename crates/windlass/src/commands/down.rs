//! `windlass down`: ends the cluster and its pods; with `--wipe` nothing remains of it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use clap::Args;
use hyper::Method;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::control::{Connection, StatusReport, Stop};
use crate::error::Failure;
use crate::output::say;
use crate::server::{kubeconfig, node};
use crate::settings::DataDir;

#[derive(Args, Debug)]
pub(crate) struct Flags {
    #[command(flatten)]
    directory: DataDir,
    /// Also remove all data, mounts, namespaces, cgroups, rules, and the context of kubectl.
    #[arg(long)]
    wipe: bool,
}

pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    let data_dir = flags.directory.path()?;
    let ran = stop_server(&data_dir)?;
    // A server that was killed has left its pods running.
    let left = node::has_pods(&data_dir);
    if left || flags.wipe {
        node::join_mounts(&data_dir)?;
        super::block_on(node::end(&data_dir, flags.wipe))?;
    }
    if flags.wipe {
        super::block_on(node::remove_traces(&data_dir))?;
        node::unmount_all(&data_dir)?;
        if let Err(failure) = kubeconfig::remove_from_users(&data_dir.join(kubeconfig::FILE)) {
            failure.print();
        }
        remove(&data_dir).map_err(|error| {
            Failure::during(format!("{} cannot be removed", data_dir.display()), std::io::Error::from(error))
        })?;
    }
    match (ran || left, flags.wipe) {
        (_, true) => say(format_args!("the cluster is gone, and {} with it", data_dir.display())),
        (true, false) => say("the cluster has ended; `windlass up` brings it back"),
        (false, false) => say(format_args!("no server runs on {}", data_dir.display())),
    }
    Ok(())
}

/// Removes the data directory; of a disk of its own, what is on it.
fn remove(data_dir: &Path) -> Result<(), rustix::io::Errno> {
    match windlass_tree::is_mount_point(data_dir) {
        Ok(true) => windlass_tree::empty_path(data_dir),
        Ok(false) => windlass_tree::remove_path(data_dir),
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Asks the server to end with its pods, and waits until it has. Says whether there was one.
fn stop_server(data_dir: &Path) -> Result<bool, Failure> {
    super::block_on(async {
        let Some(connection) = Connection::open(data_dir).await? else { return Ok(false) };
        let status: StatusReport = connection.ask(Method::GET, "/status", &()).await?;
        // Opened before it is told, so that this refers to this process and no other.
        let process = process_handle(status.pid)?;
        if let Some(connection) = Connection::open(data_dir).await? {
            let _: Value = connection.ask(Method::POST, "/stop", &Stop { pods: true }).await?;
        }
        if let Some(process) = process {
            let mut ended = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
            poll(&mut ended, PollTimeout::NONE)
                .map_err(|error| Failure::during("the server's end cannot be waited for", error))?;
        }
        Ok(true)
    })
}

/// A handle of a process, readable when it has ended; `None` when it has already.
fn process_handle(pid: u32) -> Result<Option<OwnedFd>, Failure> {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed());
    let Some(pid) = pid else { return Ok(None) };
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(handle) => Ok(Some(handle)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(Failure::during("the server's process cannot be watched", std::io::Error::from(error))),
    }
}
