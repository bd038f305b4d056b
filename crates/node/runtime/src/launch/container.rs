//! The child that becomes a container's first process.
//!
//! While it sees the node: cgroups, limits, descriptors, clones of every mount source. Then namespaces, the new root, the
//! terminal, the switch of roots; at last user, capabilities, filter, `execve`.

use std::convert::Infallible;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};

use super::report::{Failure, FailureKind, Reporter, Result, Step};
use super::spec::{ContainerLaunch, NamespacePlan, PidNamespace, ProcessPlan};
use super::{cgroup, console, credentials, executable, rootfs};
use crate::sys::message;
use crate::sys::process::{self, Clone, Forked};

/// What every child has besides its plan.
pub(crate) struct Child {
    pub(crate) reporter: Reporter,
    /// Open files (soft, hard) as the node's process had them before the supervisor raised its own.
    pub(crate) open_files: (u64, u64),
}

/// The child's ends of its standard streams.
pub(crate) enum Streams {
    /// `None` is /dev/null.
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    /// Made by the child itself; the master goes to the parent.
    Terminal,
}

impl Streams {
    pub(super) fn raw_fds(&self) -> Vec<i32> {
        match self {
            Self::Pipes { stdin, stdout, stderr } => {
                stdin.iter().chain([stdout, stderr]).map(AsRawFd::as_raw_fd).collect()
            }
            Self::Terminal => Vec::new(),
        }
    }

    /// Gives the streams to the user. Before a user namespace is entered, because from within they are out of reach.
    pub(super) fn own(&self, owner: u32) -> Result<()> {
        let Self::Pipes { stdin, stdout, stderr } = self else { return Ok(()) };
        for stream in stdin.iter().chain([stdout, stderr]) {
            credentials::own_stream(stream, owner)?;
        }
        Ok(())
    }
}

/// Runs in the forked child and never returns to the supervisor's code. `target` is the process whose pid namespace is to be
/// joined.
pub(crate) fn run(
    launch: &ContainerLaunch,
    passed: Vec<OwnedFd>,
    streams: Streams,
    target: Option<OwnedFd>,
    child: Child,
) -> ! {
    finish(&child.reporter, || start(launch, passed, streams, target, &child))
}

/// Ends a child that has failed, telling the parent why.
pub(super) fn finish(reporter: &Reporter, work: impl FnOnce() -> Result<Infallible>) -> ! {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    let failure = match outcome {
        Ok(Err(failure)) => failure,
        Ok(Ok(never)) => match never {},
        Err(_) => Failure::new(FailureKind::Setup, "the launch panicked"),
    };
    reporter.failure(&failure);
    process::exit_now(1)
}

fn start(
    launch: &ContainerLaunch,
    passed: Vec<OwnedFd>,
    streams: Streams,
    target: Option<OwnedFd>,
    child: &Child,
) -> Result<Infallible> {
    let others = passed.iter().chain(&target).map(AsRawFd::as_raw_fd);
    let keep: Vec<i32> = others.chain(streams.raw_fds()).collect();
    be_fresh(child, &keep)?;
    join_limits(&launch.cgroup, &launch.process)?;
    streams.own(launch.process.stream_owner)?;
    let namespaces = Namespaces::open(&launch.namespaces)?;
    let prepared = rootfs::prepare(launch, passed, namespaces.user.as_ref().map(AsFd::as_fd))?;
    // The working directory survives the change of mount namespaces, also where a user namespace may not look up the path.
    let mount_point = &launch.root_mount_point;
    nix::unistd::chdir(mount_point).step(|| format!("change to {}", mount_point.display()))?;

    namespaces.enter(&launch.namespaces, target.as_ref(), &child.reporter)?;
    nix::unistd::setsid().step(|| "start a session".to_owned())?;
    let mut own = CloneFlags::CLONE_NEWNS;
    if launch.namespaces.own_cgroup {
        own |= CloneFlags::CLONE_NEWCGROUP;
    }
    unshare(own).step(|| "make a mount namespace".to_owned())?;
    let built = rootfs::build(launch, prepared)?;
    let streams = match streams {
        Streams::Terminal => {
            let slave = open_terminal(built.root(), launch.process.user.uid, child)?;
            console::bind(built.root(), slave.as_fd())?;
            Ready::Terminal(slave)
        }
        Streams::Pipes { stdin, stdout, stderr } => Ready::Pipes { stdin, stdout, stderr },
    };
    rootfs::switch(built)?;
    become_program(&launch.process, streams)
}

/// Forgets what came from the supervisor: signals, raised limits, descriptors. And hides from neighbours: until `execve`, which
/// undoes it, nobody but who may trace everything on the node gets at this process's root, descriptors, memory and program
/// by way of /proc, although a shared pid namespace shows it.
pub(super) fn be_fresh(child: &Child, keep: &[i32]) -> Result<()> {
    process::prctl(libc::PR_SET_DUMPABLE, 0).step(|| "hide from neighbours".to_owned())?;
    process::reset_signals();
    let mut keep = keep.to_vec();
    keep.push(child.reporter.as_raw_fd());
    process::close_descriptors(3, &keep).step(|| "close inherited descriptors".to_owned())?;
    let (soft, hard) = child.open_files;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, soft, hard)
        .step(|| "limit open files".to_owned())
}

/// Joins the cgroups and takes on what needs the node's /proc.
pub(super) fn join_limits(plan: &super::spec::CgroupPlan, process: &ProcessPlan) -> Result<()> {
    cgroup::join_v1(plan)?;
    cgroup::set_oom_score_adj(process.oom_score_adj)?;
    process.apparmor.as_deref().map_or(Ok(()), credentials::request_apparmor)
}

/// Namespaces that exist already, as open files.
pub(super) struct Namespaces {
    user: Option<File>,
    others: Vec<(File, CloneFlags)>,
}

impl Namespaces {
    pub(super) fn open(plan: &NamespacePlan) -> Result<Self> {
        let open = |path: &Path| File::open(path).step(|| format!("open namespace {}", path.display()));
        let mut others = Vec::new();
        for (path, flag) in [
            (&plan.network, CloneFlags::CLONE_NEWNET),
            (&plan.ipc, CloneFlags::CLONE_NEWIPC),
            (&plan.uts, CloneFlags::CLONE_NEWUTS),
        ] {
            if let Some(path) = path {
                others.push((open(path)?, flag));
            }
        }
        Ok(Self { user: plan.user.as_deref().map(open).transpose()?, others })
    }

    /// Enters them. Afterwards the caller may be another process, see [`go_on_in_pid_namespace`].
    pub(super) fn enter(self, plan: &NamespacePlan, target: Option<&OwnedFd>, reporter: &Reporter) -> Result<()> {
        if let Some(target) = target {
            choose_pid_namespace(target)?;
        }
        if let Some(user) = &self.user {
            process::enter(user.as_fd(), libc::CLONE_NEWUSER).step(|| "enter the user namespace".to_owned())?;
            credentials::become_root_of_user_namespace()?;
        }
        for (namespace, flag) in &self.others {
            process::enter(namespace.as_fd(), flag.bits()).step(|| format!("enter namespaces ({flag:?})"))?;
        }
        if target.is_some() {
            return go_on_in_pid_namespace(reporter);
        }
        if self.user.is_some() && plan.pid == PidNamespace::Own {
            // It must belong to the user namespace, or /proc could not be mounted there; so the supervisor could not make it.
            unshare(CloneFlags::CLONE_NEWPID).step(|| "make a pid namespace".to_owned())?;
            return go_on_in_pid_namespace(reporter);
        }
        Ok(())
    }
}

/// Chooses the pid namespace of a running process for the next fork. While still in the node's user namespace, because from
/// within another one that process may be out of reach.
pub(super) fn choose_pid_namespace(target: &OwnedFd) -> Result<()> {
    process::enter(target.as_fd(), libc::CLONE_NEWPID)
        .map_err(|error| Failure::new(FailureKind::NotRunning, format!("join the pid namespace: {error}")))
}

/// A process cannot change its own pid namespace, only that of its children. So this one goes on as a new process there: a
/// sibling, which the supervisor reaps like any other child. Whoever is in that namespace sees it from here on, so what of the
/// node can be given up before should be.
pub(super) fn go_on_in_pid_namespace(reporter: &Reporter) -> Result<()> {
    let (gate, opener) = message::pipe().step(|| "make a pipe".to_owned())?;
    // SAFETY: this process was forked from one with a single thread and has started none.
    let forked = unsafe { process::fork(&Clone { sibling: true, ..Clone::default() }) };
    match forked.step(|| "fork in the pid namespace".to_owned())? {
        Forked::Parent { child } => {
            // First the report, then the gate: the supervisor knows the process before that can end.
            reporter.successor(child).step(|| "report the process".to_owned())?;
            drop(opener);
            process::exit_now(0)
        }
        Forked::Child => {
            drop(opener);
            let mut nothing = [0u8; 1];
            nix::unistd::read(gate.as_raw_fd(), &mut nothing).step(|| "wait at the gate".to_owned())?;
            Ok(())
        }
    }
}

/// Streams that are about to become descriptors 0, 1 and 2.
pub(super) enum Ready {
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    Terminal(OwnedFd),
}

/// Opens a terminal, sends the master to the supervisor and returns the slave.
pub(super) fn open_terminal(root: std::os::fd::BorrowedFd<'_>, owner: u32, child: &Child) -> Result<OwnedFd> {
    let (master, slave) = console::open(root)?;
    credentials::own_stream(&slave, owner)?;
    child.reporter.terminal(master.as_fd()).step(|| "hand over the terminal".to_owned())?;
    Ok(slave)
}

/// The end of every launch: within the container's root, from root's identity to the program.
pub(super) fn become_program(plan: &ProcessPlan, streams: Ready) -> Result<Infallible> {
    match &streams {
        Ready::Terminal(slave) => {
            console::take_control(slave.as_fd())?;
            credentials::redirect([slave, slave, slave])?;
        }
        Ready::Pipes { stdin: Some(stdin), stdout, stderr } => credentials::redirect([stdin, stdout, stderr])?,
        Ready::Pipes { stdin: None, stdout, stderr } => {
            let null = open_null()?;
            credentials::redirect([&null, stdout, stderr])?;
        }
    }
    let filter = plan.seccomp.as_deref().map(credentials::decode_filter).transpose()?;
    // Root may enter directories that the user may not, and the user may enter some that root may not (NFS).
    let working_dir = if plan.working_dir.is_empty() { "/" } else { &plan.working_dir };
    let entered = nix::unistd::chdir(working_dir);
    credentials::assume(plan)?;
    if entered.is_err() {
        nix::unistd::chdir(working_dir).step(|| format!("chdir to cwd (\"{working_dir}\")"))?;
    }
    let name = plan.args.first().map_or("", String::as_str);
    let path = plan.env.iter().find_map(|variable| variable.strip_prefix("PATH="));
    let program = executable::find(name, path)?;
    credentials::confine(plan, filter.as_deref())?;
    Err(executable::execute(&program, &plan.args, &plan.env))
}

/// The container's own /dev/null. Where the pod has brought its own /dev, something else may be there: a pipe would block.
fn open_null() -> Result<File> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
    let what = || "open /dev/null in the container".to_owned();
    let null =
        File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open("/dev/null").step(what)?;
    let metadata = null.metadata().step(what)?;
    if !metadata.file_type().is_char_device() || metadata.rdev() != libc::makedev(1, 3) {
        return Err(Failure::new(FailureKind::Setup, "/dev/null in the container is not the null device"));
    }
    Ok(null)
}

#[cfg(test)]
mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;
    use crate::sys::process::exit_now;

    /// In a child, since it gives up this process's descriptors.
    fn in_child(work: impl FnOnce(Child) -> i32) -> i32 {
        let (_socket, child_socket) = message::message_pair().unwrap();
        let open_files = (1024, 1024);
        // SAFETY: the child makes system calls alone, and takes no lock that another thread could hold.
        match unsafe { process::fork(&Clone::default()) }.unwrap() {
            Forked::Child => exit_now(work(Child { reporter: Reporter::new(child_socket), open_files })),
            Forked::Parent { child } => match waitpid(nix::unistd::Pid::from_raw(child), None).unwrap() {
                WaitStatus::Exited(_, code) => code,
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn a_process_that_starts_is_hidden_from_its_neighbours() {
        let dumpable = || {
            // SAFETY: takes and returns numbers.
            unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) }
        };
        assert_eq!(
            in_child(|child| {
                let fresh = be_fresh(&child, &[]).is_ok();
                if fresh { dumpable() } else { 99 }
            }),
            0
        );
        // What it forks is hidden too.
        assert_eq!(
            in_child(|child| {
                if be_fresh(&child, &[]).is_err() {
                    return 99;
                }
                in_child(|_| dumpable())
            }),
            0
        );
    }
}
