//! Servers and clients over loopback, well-behaved and hostile.
//!
//! Deadlines are real, and short where one is to pass: a test awaits what the other end does then.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dialing;
mod serving;
mod world;
