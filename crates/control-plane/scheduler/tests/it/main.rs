//! The scheduler against a real API server in the same process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod placing;
mod preempting;
mod storing;
mod waiting;
