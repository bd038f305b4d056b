//! What can go wrong between us and the kernel.

use std::io;

use crate::netlink::Refusal;

/// A failed exchange with the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket itself failed: no privilege, no memory, no such namespace.
    #[error("cannot {action}")]
    Socket { action: &'static str, source: io::Error },
    /// The kernel understood and said no. `command` names what was asked, `reason` is the kernel's explanation if it has one.
    #[error("the kernel refused to {command}{}", reason.as_deref().map(|r| format!(" ({r})")).unwrap_or_default())]
    Refused { command: String, reason: Option<String>, source: io::Error },
    /// Others kept changing what we were reading.
    #[error("could not read {what}: it changed during each of {attempts} attempts")]
    Unsettled { what: &'static str, attempts: u32 },
    /// Something is too long for its field in a netlink message.
    #[error("cannot {action}: a name or value is too long for a netlink message")]
    Oversized { action: &'static str },
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn refused(command: impl Into<String>, refusal: Refusal) -> Self {
        Self::Refused {
            command: command.into(),
            reason: refusal.message,
            source: io::Error::from_raw_os_error(refusal.errno),
        }
    }

    pub(crate) fn socket(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Socket { action, source }
    }

    /// The error number, if the kernel or the socket gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Socket { source, .. } | Self::Refused { source, .. } => source.raw_os_error(),
            Self::Unsettled { .. } | Self::Oversized { .. } => None,
        }
    }

    /// What was to be removed or read does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ESRCH | libc::ENODEV))
    }

    pub fn is_already_there(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }
}
