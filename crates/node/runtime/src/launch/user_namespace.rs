//! A helper that makes a user namespace with the namespaces that belong to it, and pins them as files.
//!
//! A process with threads (the daemon) cannot make a user namespace, and the supervisor must not change its own. So a child
//! of the supervisor forks a process that makes them, writes its ID maps, binds its namespaces to files, and ends it.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};

use super::container::{Child, be_fresh, finish};
use super::credentials;
use super::report::{Reporter, Result, Step};
use super::spec::UserNamespaceLaunch;
use crate::sys::message;
use crate::sys::mount;
use crate::sys::process::{self, Clone, Forked};

/// Runs in the forked child and never returns to the supervisor's code. The report ends without a failure when all is pinned.
pub(crate) fn run(launch: &UserNamespaceLaunch, child: Child) -> ! {
    finish(&child.reporter, || {
        be_fresh(&child, &[])?;
        pin(launch, &child.reporter)?;
        process::exit_now(0)
    })
}

fn pin(launch: &UserNamespaceLaunch, reporter: &Reporter) -> Result<()> {
    let (mapped, map) = message::pipe().step(|| "make a pipe".to_owned())?;
    let (made, make) = message::pipe().step(|| "make a pipe".to_owned())?;
    // SAFETY: this process was forked from one with a single thread and has started none.
    match unsafe { process::fork(&Clone::default()) }.step(|| "fork".to_owned())? {
        Forked::Child => {
            drop((map, made));
            finish(reporter, || hold(launch, &mapped, make))
        }
        Forked::Parent { child } => {
            drop((mapped, make));
            let pinned = pin_from(launch, child, map, &made);
            let pid = nix::unistd::Pid::from_raw(child);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(pid, None);
            pinned
        }
    }
}

/// The holder: makes the namespaces and waits to be ended.
fn hold(launch: &UserNamespaceLaunch, mapped: &OwnedFd, make: OwnedFd) -> Result<Infallible> {
    // It must not outlive the process that ends it.
    process::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64).step(|| "bind to the parent".to_owned())?;
    unshare(CloneFlags::CLONE_NEWUSER).step(|| "make a user namespace".to_owned())?;
    signal(&make)?;
    await_signal(mapped)?;
    credentials::become_root_of_user_namespace()?;
    let mut flags = CloneFlags::empty();
    flags.set(CloneFlags::CLONE_NEWNET, launch.own_network);
    flags.set(CloneFlags::CLONE_NEWIPC, launch.own_ipc);
    flags.set(CloneFlags::CLONE_NEWUTS, launch.hostname.is_some());
    unshare(flags).step(|| "make the namespaces of the pod".to_owned())?;
    if let Some(hostname) = &launch.hostname {
        nix::unistd::sethostname(hostname).step(|| "set the hostname".to_owned())?;
    }
    signal(&make)?;
    loop {
        nix::unistd::pause();
    }
}

fn pin_from(launch: &UserNamespaceLaunch, holder: i32, map: OwnedFd, made: &OwnedFd) -> Result<()> {
    await_signal(made)?;
    for (file, lines) in [("uid_map", &launch.uid_map), ("gid_map", &launch.gid_map)] {
        std::fs::write(format!("/proc/{holder}/{file}"), lines).step(|| format!("write {file}"))?;
    }
    signal(&map)?;
    await_signal(made)?;
    for (name, wanted) in
        [("user", true), ("net", launch.own_network), ("ipc", launch.own_ipc), ("uts", launch.hostname.is_some())]
    {
        if wanted {
            let target = launch.directory.join(name);
            pin_file(Path::new(&format!("/proc/{holder}/ns/{name}")), &target)?;
        }
    }
    Ok(())
}

fn pin_file(namespace: &Path, target: &Path) -> Result<()> {
    File::create(target)
        .and_then(|_| mount::bind_file(namespace, target))
        .step(|| format!("pin namespace {}", target.display()))
}

fn signal(writer: &OwnedFd) -> Result<()> {
    nix::unistd::write(writer, b"x").map(drop).step(|| "signal".to_owned())
}

/// Waits for one byte; the end of the pipe means that the other side has failed and said so itself.
fn await_signal(reader: &OwnedFd) -> Result<()> {
    let mut byte = [0u8; 1];
    match nix::unistd::read(reader.as_raw_fd(), &mut byte).step(|| "wait".to_owned())? {
        1 => Ok(()),
        _ => process::exit_now(1),
    }
}
