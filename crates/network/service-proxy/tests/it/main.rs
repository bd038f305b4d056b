//! The proxy against the kernel, with traffic, in namespaces that vanish with the test.

#![expect(clippy::unwrap_used, reason = "helpers of tests unwrap as tests do")]

mod churn;
mod cluster;
mod dump;
#[path = "../../../dataplane/tests/lab/mod.rs"]
mod lab;
mod lifecycle;
mod scale;
mod traffic;
