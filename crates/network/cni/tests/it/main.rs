//! Our plugin and the invoker against the kernel, in namespaces that vanish with the test.

#![expect(clippy::unwrap_used, reason = "helpers of tests unwrap as tests do")]

mod invoker;
#[path = "../../../dataplane/tests/lab/mod.rs"]
mod lab;
mod node;
mod plugin;
mod times;
