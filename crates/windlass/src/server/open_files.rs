//! How many files may be open: the server takes all that the machine allows, and what it starts gets what it was given itself.
//!
//! Each client, each watch of a directory and each container costs descriptors, and the usual soft limit of 1,024 is there for programs
//! that call select(2), which this one does not. Programs in containers may.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft limit that this process was started with.
static GIVEN: OnceLock<u64> = OnceLock::new();

/// The most that the machine allows this process.
pub(crate) fn max() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(_, hard)| hard)
}

/// The soft limit that this process was started with, which is what others are to be started with.
pub(crate) fn given() -> u64 {
    *GIVEN.get_or_init(|| getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft))
}

/// Raises this process's limit. One that cannot be raised is no reason not to start.
pub(crate) fn raise() {
    let (given, hard) = (given(), max());
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        tracing::warn!(%error, given, hard, "the limit of open files cannot be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_remembered() {
        let given = given();
        raise();
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (max(), max()));
        assert_eq!(super::given(), given);
    }
}
