//! Rotation of containers' logs, so that what a container says does not fill the node's disk.
//!
//! ```text
//! 0.log                        what is written now
//! 0.log.20261121-062000        the last one before it, as it was: whoever reads it may finish
//! 0.log.20261121-061000.gz     older ones
//! ```
//!
//! The [`manager`] is told by the kernel which logs have been written to, and [`rotate`]s those that are too large: the file is renamed,
//! the runtime goes on in a new one, and of the retired ones the oldest are removed, by the [`plan`] (pure), before others are
//! compressed at leisure. Names and order are upstream's (`pkg/kubelet/logs/container_log_manager.go`).
//!
//! Logs of a container that has ended stay as they are until they go with it.

mod manager;
mod plan;
mod rotate;

pub(crate) use manager::run;
pub(crate) use rotate::remove;
