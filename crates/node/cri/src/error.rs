//! Failures as the CRI knows them: a gRPC code and a sentence for the operator.

/// What kind of failure, in gRPC's terms; callers decide on this, never on the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The sandbox, container or image does not exist (any more).
    NotFound,
    /// The name is taken by another sandbox or container.
    AlreadyExists,
    /// The request can never succeed as it stands.
    InvalidArgument,
    /// The object is not in a state that allows the call (exec in a stopped container).
    FailedPrecondition,
    /// The time limit of the call ran out.
    DeadlineExceeded,
    /// A limit of the machine stands in the way (disk full, too many processes).
    ResourceExhausted,
    /// The registry refused the credentials.
    PermissionDenied,
    /// The runtime or the registry cannot be reached now; trying again may help.
    Unavailable,
    /// The runtime does not do this.
    Unimplemented,
    /// Everything else.
    Internal,
}

/// A failed CRI call. The message ends up in pod events and container statuses.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub code: Code,
    pub message: String,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `what` names the object, for example `container "abc"`.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("{what} not found"))
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message)
    }

    pub fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}
