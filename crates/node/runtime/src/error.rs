//! From the errors of this crate's modules to those of the CRI: a code for the caller to decide on, and one sentence with the
//! whole chain of causes, because it ends up in a pod's events.

use std::error::Error as StdError;

use windlass_api::text::with_causes;
use windlass_cri::{Code, Error, Result};

use crate::launch::report::FailureKind;
use crate::supervisor::client::ClientError;

/// Says what was being done when something failed.
pub(crate) trait During<T> {
    fn during(self, code: Code, what: impl FnOnce() -> String) -> Result<T>;

    fn internal(self, what: &str) -> Result<T>
    where
        Self: Sized,
    {
        self.during(Code::Internal, || what.to_owned())
    }
}

impl<T, E: StdError> During<T> for std::result::Result<T, E> {
    fn during(self, code: Code, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::new(code, format!("{}: {}", what(), with_causes(&error))))
    }
}

/// What the supervisor refused or could not do.
pub(crate) fn from_supervisor(what: &str, error: &ClientError) -> Error {
    let code = match error {
        ClientError::Refused(failure) => match failure.kind {
            FailureKind::Executable | FailureKind::Invalid => Code::InvalidArgument,
            FailureKind::NotRunning => Code::FailedPrecondition,
            FailureKind::NotFound => Code::NotFound,
            FailureKind::AlreadyExists => Code::AlreadyExists,
            FailureKind::Setup => Code::Internal,
        },
        ClientError::Gone => Code::Unavailable,
        ClientError::Protocol { .. } => Code::FailedPrecondition,
        ClientError::Confused | ClientError::Unsendable(_) => Code::Internal,
    };
    Error::new(code, format!("{what}: {}", with_causes(error)))
}

/// A task of ours that ended without a result has panicked or was cancelled with its executor.
pub(crate) async fn blocking<T, E>(
    what: &str,
    work: impl FnOnce() -> std::result::Result<T, E> + Send + 'static,
) -> Result<T>
where
    T: Send + 'static,
    E: StdError + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.internal(what),
        Err(error) => Err(Error::internal(format!("{what}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::report::Failure;

    #[test]
    fn causes_are_told_once() {
        let io = std::io::Error::from_raw_os_error(libc::ENOSPC);
        let error = crate::store::StoreError::Write { path: "/x".into(), source: io };
        assert_eq!(with_causes(&error), "cannot write /x: No space left on device (os error 28)");
        let refused = ClientError::Refused(Failure::new(FailureKind::Executable, "exec: \"foo\": not there"));
        let error = from_supervisor("start", &refused);
        assert_eq!((error.code, error.message.as_str()), (Code::InvalidArgument, "start: exec: \"foo\": not there"));
    }
}
