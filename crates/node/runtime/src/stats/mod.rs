//! What sandboxes and containers use of the machine, read when somebody asks.
//!
//! - [`report`]: numbers of cgroups as the CRI shows them
//! - [`layer`]: what writable layers take of the disk
//! - [`interfaces`]: what has gone through a sandbox's network

mod interfaces;
mod layer;
mod report;

pub(crate) use layer::disk_usage;
pub(crate) use layer::meter;
pub(crate) use report::{container_stats, sandbox_stats};
