//! Informers and leader election against a real API server, on a bad day.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod elections;
mod informers;
