//! The init of a shared pid namespace: process 1 of a pod whose containers see each other's processes. It does nothing but
//! reap, and has nothing that a container could take from it: an empty root, no capabilities, no descriptors, no user.

use std::convert::Infallible;
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::container::{Child, Namespaces, be_fresh, finish};
use super::report::{Result, Step};
use super::spec::InitLaunch;
use super::{cgroup, credentials, rootfs};
use crate::sys::mount::{self, Attributes};
use crate::sys::process;

/// The user of upstream's pause container.
const NOBODY: u32 = 65535;

/// Runs in the forked child and never returns to the supervisor's code. The report ends when the init is in place.
pub(crate) fn run(launch: &InitLaunch, child: Child) -> ! {
    let reporter = &child.reporter;
    finish(reporter, || {
        settle(launch, &child)?;
        process::close_descriptors(0, &[]).step(|| "close descriptors".to_owned())?;
        reap_for_ever()
    })
}

fn settle(launch: &InitLaunch, child: &Child) -> Result<()> {
    be_fresh(child, &[])?;
    cgroup::join_v1(&launch.cgroup)?;
    cgroup::set_oom_score_adj(launch.oom_score_adj)?;
    let namespaces = Namespaces::open(&launch.namespaces)?;
    let mount_point = &launch.root_mount_point;
    nix::unistd::chdir(mount_point).step(|| format!("change to {}", mount_point.display()))?;
    namespaces.enter(&launch.namespaces, None, &child.reporter)?;
    nix::unistd::setsid().step(|| "start a session".to_owned())?;
    unshare(CloneFlags::CLONE_NEWNS).step(|| "make a mount namespace".to_owned())?;
    enter_empty_root().step(|| "change to an empty root".to_owned())?;
    process::set_name(c"windlass-init");
    credentials::renounce(NOBODY)
}

fn enter_empty_root() -> std::io::Result<()> {
    let none: Option<&str> = None;
    let receive = nix::mount::MsFlags::MS_SLAVE | nix::mount::MsFlags::MS_REC;
    nix::mount::mount(none, "/", none, receive, none)?;
    let options = [("size", Some("4k")), ("nr_inodes", Some("2")), ("mode", Some("0555"))];
    let set = Attributes::READ_ONLY | Attributes::NO_SUID | Attributes::NO_DEV | Attributes::NO_EXEC;
    let empty = mount::fresh("tmpfs", &options, set)?;
    mount::attach_on_working_directory(empty.as_fd())?;
    rootfs::enter(empty.as_fd())
}

fn reap_for_ever() -> Result<Infallible> {
    let everything = SigSet::all();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&everything), None).step(|| "block signals".to_owned())?;
    loop {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
        // Any signal wakes it; only SIGCHLD means anything, and SIGKILL from outside needs no answer.
        let _ = everything.wait();
    }
}
