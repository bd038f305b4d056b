//! The image store against real registries, archives and the kernel. Needs root and Debian's `docker-registry`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "how a child process reports to the test that started it")]

mod collect;
mod crash;
mod faults;
mod hostile;
mod import;
mod overlay;
mod pull;
mod support;
