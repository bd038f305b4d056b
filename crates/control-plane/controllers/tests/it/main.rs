//! Scenarios: all controllers, the scheduler and nodes on paper, on paused time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod admission;
mod batch;
mod certificates;
mod custom_resources;
mod endpoints;
mod garbage;
mod namespaces;
mod nodes;
mod pod_certificates;
mod policy;
mod scene;
mod volumes;
mod workloads;
