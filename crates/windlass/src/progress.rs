//! How a server that was started in the background tells how far it has come.

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, RawFd};

/// The environment variable with the number of the pipe's descriptor.
pub(crate) const VARIABLE: &str = "WINDLASS_PROGRESS_FD";
/// The line that means that the cluster can be used. All others are for people.
pub(crate) const READY: &str = "ready";

/// The pipe to who started this process, if somebody waits.
#[derive(Debug, Default)]
pub(crate) struct Progress(Option<File>);

impl Progress {
    /// Takes the pipe. Must be called once, before the process opens files.
    #[expect(clippy::disallowed_methods, reason = "the variable comes from this program's own parent, not from a user")]
    pub(crate) fn take() -> Self {
        let number = std::env::var(VARIABLE).ok().and_then(|number| number.parse::<RawFd>().ok());
        let Some(number) = number.filter(|&number| number > 2) else { return Self(None) };
        // SAFETY: only `windlass up` sets the variable, to a descriptor that it made for this process and that nobody here knows of.
        let file = unsafe { File::from_raw_fd(number) };
        let is_open = nix::fcntl::fcntl(number, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).is_ok();
        if !is_open {
            // There is nothing that closing it could close.
            std::mem::forget(file);
            return Self(None);
        }
        Self(Some(file))
    }

    /// Tells a step. Whoever has stopped listening is not missed.
    pub(crate) fn say(&mut self, line: &str) {
        if let Some(pipe) = &mut self.0 {
            let _ = writeln!(pipe, "{line}");
        }
    }

    /// Tells that everything is ready, and nothing more.
    pub(crate) fn ready(mut self) {
        self.say(READY);
    }
}
