//! The server on real sockets: with questions written by hand, with an upstream that misbehaves, and with the resolver of the
//! C library.

#![expect(clippy::unwrap_used, reason = "helpers of tests unwrap as tests do")]

mod cluster;
mod libc_resolver;
mod speed;
mod strangers;
mod upstream;
mod world;
