//! The API over TLS, with containers of the real runtime. Needs root and busybox-static.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "logs of failed tests are for people")]

mod client;
mod forwarding;
mod logs;
mod node;
mod pages;
mod sessions;
mod spdy_client;
