//! The supervisor's way from `exec` to its loop: out of the daemon's session, deaf to what would end it, parent of orphans.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::server::Server;
use crate::sys::process::{self, Clone, Forked};

/// The argument before the soft limit of open files that processes of containers get.
pub const OPEN_FILES: &str = "--open-files";

/// As containerd's shims have it.
const OOM_SCORE_ADJ: &str = "-999";

/// Runs the supervisor. A program calls this first thing in `main`, before any thread exists, when it was executed with
/// [`crate::Options::supervisor_command`]; `args` are those that follow the program's name for it: [`OPEN_FILES`] with the soft limit of
/// containers' processes if it is not this one's, and `--root PATH`, which only serves to tell supervisors apart in a list of processes.
/// Standard input is the listening socket, standard error a log file.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ! {
    let mut args = args.into_iter().skip_while(|arg| arg != OPEN_FILES);
    let open_files = args.nth(1).and_then(|number| number.to_str()?.parse().ok());
    // SAFETY: the program has just started and has one thread.
    match unsafe { process::fork(&Clone::default()) } {
        // The daemon waits for this process alone: the supervisor is then nobody's child but init's.
        Ok(Forked::Parent { .. }) => process::exit_now(0),
        Ok(Forked::Child) => {}
        Err(error) => fail(&error),
    }
    match serve(open_files) {
        Ok(()) => process::exit_now(0),
        Err(error) => fail(&error),
    }
}

fn fail(error: &io::Error) -> ! {
    let _ = writeln!(io::stderr(), "the supervisor ends: {error}");
    process::exit_now(1)
}

fn serve(open_files: Option<u64>) -> io::Result<()> {
    nix::unistd::setsid()?;
    nix::unistd::chdir("/")?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    process::set_name(c"windlass-superv");
    // Orphans of containers in the node's pid namespace become its children.
    process::prctl(libc::PR_SET_CHILD_SUBREAPER, 1)?;
    // Its children enter containers before they become another program: nothing there may look into them.
    process::prctl(libc::PR_SET_DUMPABLE, 0)?;
    // The last to be killed when memory runs out. Its children choose their own; who may not lower it stays as the node is.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
    let listener = take_listener()?;
    process::close_descriptors(3, &[listener.as_raw_fd()])?;
    let open_files = raise_open_files(open_files)?;
    let signals = take_signals()?;
    Server::new(listener, signals, open_files)?.run()
}

/// Moves the listening socket away from standard input, which becomes /dev/null like standard output.
fn take_listener() -> io::Result<UnixListener> {
    let fd = nix::fcntl::fcntl(0, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: the descriptor was just made and is nobody else's.
    let listener = UnixListener::from(unsafe { OwnedFd::from_raw_fd(fd) });
    // Fails unless it is a socket that listens.
    listener.local_addr()?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2(null.as_raw_fd(), 0)?;
    nix::unistd::dup2(null.as_raw_fd(), 1)?;
    Ok(listener)
}

/// Each container takes a handful of descriptors here. Returns the limits that its processes are to have: those that were asked for, or the
/// node's.
fn raise_open_files(wanted: Option<u64>) -> io::Result<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let soft = wanted.map_or(soft, |wanted| wanted.min(hard));
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok((soft, hard))
}

fn take_signals() -> io::Result<SignalFd> {
    for ignored in [Signal::SIGPIPE, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: ignoring a signal runs no code of ours.
        unsafe { signal(ignored, SigHandler::SigIgn) }?;
    }
    let mut taken = SigSet::empty();
    taken.add(Signal::SIGCHLD);
    taken.add(Signal::SIGTERM);
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&taken), None)?;
    Ok(SignalFd::with_flags(&taken, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?)
}
