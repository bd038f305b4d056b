//! How a launched child tells the supervisor what became of it: messages on a socket that closes on exec.
//!
//! A terminal's master comes as a descriptor, a failure as a JSON [`Failure`], and the number of the process that takes the
//! child's place (in a user namespace) as a JSON number. The end of the stream without a failure means that `execve` has
//! succeeded (or, for helpers, that the work is done).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::sys::message;

/// Longest failure text that is sent.
const TEXT_BYTES_MAX: usize = 4096;

/// Why a launch failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FailureKind {
    /// The program cannot be executed: the container's author must change something.
    Executable,
    /// A step before that failed.
    Setup,
    /// What should be joined does not run.
    NotRunning,
    /// The supervisor does not know what the request names.
    NotFound,
    /// A container of this ID exists.
    AlreadyExists,
    /// The request itself cannot be carried out.
    Invalid,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Names the step in which a system call failed.
pub(crate) trait Step<T> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Step<T> for std::result::Result<T, E> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure::new(FailureKind::Setup, format!("{}: {}", what(), words(&error.into()))))
    }
}

/// An error in the words of C and Go programs: `no such file or directory`, without Rust's `(os error 2)`.
pub(crate) fn words(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = nix::errno::Errno::from_raw(number).desc().to_owned();
            let mut letters = text.chars();
            match letters.next() {
                // `I/O error` keeps its capitals.
                Some(first) if letters.clone().next().is_some_and(char::is_lowercase) => {
                    first.to_lowercase().chain(letters).collect()
                }
                _ => text,
            }
        }
        None => error.to_string(),
    }
}

/// The child's end.
pub(crate) struct Reporter(OwnedFd);

impl Reporter {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub(crate) fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    pub(crate) fn failure(&self, failure: &Failure) {
        let mut failure = failure.clone();
        if failure.message.len() > TEXT_BYTES_MAX {
            let end = failure.message.floor_char_boundary(TEXT_BYTES_MAX);
            failure.message.truncate(end);
        }
        if let Ok(text) = serde_json::to_vec(&failure) {
            let _ = message::send(self.0.as_fd(), &text, &[]);
        }
    }

    pub(crate) fn successor(&self, pid: i32) -> io::Result<()> {
        message::send(self.0.as_fd(), pid.to_string().as_bytes(), &[]).map(drop)
    }

    pub(crate) fn terminal(&self, master: BorrowedFd<'_>) -> io::Result<()> {
        message::send(self.0.as_fd(), b"\n", &[master.as_raw_fd()]).map(drop)
    }
}

/// What the parent has read so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) failure: Option<Failure>,
    pub(crate) terminal: Option<OwnedFd>,
    /// The process that goes on instead of the one that was forked.
    pub(crate) successor: Option<i32>,
}

impl Report {
    /// Reads what is there without waiting; true at the end of the stream.
    pub(crate) fn read(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        loop {
            let mut buffer = [0u8; TEXT_BYTES_MAX * 7];
            let mut fds = Vec::new();
            match message::receive(socket, &mut buffer, &mut fds) {
                Ok(0) => return Ok(true),
                Ok(length) => {
                    if let Some(terminal) = fds.pop() {
                        self.terminal = Some(terminal);
                    } else if let Ok(pid) = serde_json::from_slice(&buffer[..length]) {
                        self.successor = Some(pid);
                    } else if let Ok(failure) = serde_json::from_slice(&buffer[..length]) {
                        self.failure = Some(failure);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_users_know_them() {
        for (number, text) in [
            (libc::ENOENT, "no such file or directory"),
            (libc::EACCES, "permission denied"),
            (libc::EIO, "I/O error"),
            (libc::ENOEXEC, "exec format error"),
        ] {
            assert_eq!(words(&io::Error::from_raw_os_error(number)), text);
        }
    }

    #[test]
    fn a_long_failure_is_cut_at_a_character() {
        let (child, parent) = message::message_pair().unwrap();
        message::set_nonblocking(parent.as_fd()).unwrap();
        let text = "ü".repeat(TEXT_BYTES_MAX);
        Reporter::new(child).failure(&Failure::new(FailureKind::Setup, text));
        let mut report = Report::default();
        assert!(report.read(parent.as_fd()).unwrap());
        assert_eq!(report.failure.unwrap().message.len(), TEXT_BYTES_MAX);
    }
}
