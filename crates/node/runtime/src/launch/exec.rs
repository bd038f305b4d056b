//! The child that becomes a further process in a running container.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::container::{
    Child, Ready, Streams, be_fresh, become_program, choose_pid_namespace, finish, go_on_in_pid_namespace, join_limits,
    open_terminal,
};
use super::credentials;
use super::report::{Result, Step};
use super::spec::ExecLaunch;
use crate::sys::process;

/// Runs in the forked child and never returns to the supervisor's code. `target` is a descriptor of the container's first
/// process.
pub(crate) fn run(launch: &ExecLaunch, target: OwnedFd, streams: Streams, child: Child) -> ! {
    finish(&child.reporter, || start(launch, &target, streams, &child))
}

fn start(launch: &ExecLaunch, target: &OwnedFd, streams: Streams, child: &Child) -> Result<Infallible> {
    let mut keep = streams.raw_fds();
    keep.push(target.as_raw_fd());
    be_fresh(child, &keep)?;
    join_limits(&launch.cgroup, &launch.process)?;
    streams.own(launch.process.stream_owner)?;
    choose_pid_namespace(target)?;
    let mut flags =
        libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP;
    if launch.user_namespace {
        flags |= libc::CLONE_NEWUSER;
    }
    // Also puts root and working directory where the container has them.
    process::enter(target.as_fd(), flags).step(|| "enter the container's namespaces".to_owned())?;
    if launch.user_namespace {
        credentials::become_root_of_user_namespace()?;
    }
    // Last, so that processes of the container see nobody who still sees the node's files.
    go_on_in_pid_namespace(&child.reporter)?;
    nix::unistd::setsid().step(|| "start a session".to_owned())?;
    let streams = match streams {
        Streams::Terminal => {
            let root = File::open("/").step(|| "open the container's root".to_owned())?;
            Ready::Terminal(open_terminal(root.as_fd(), launch.process.user.uid, child)?)
        }
        Streams::Pipes { stdin, stdout, stderr } => Ready::Pipes { stdin, stdout, stderr },
    };
    become_program(&launch.process, streams)
}
