//! Pages: pods, metrics, statistics, and the node's own logs.

mod metrics;
mod pods;
mod stats;
mod system_logs;

pub(crate) use metrics::{cadvisor, resource};
pub(crate) use pods::{pods, running_pods};
pub(crate) use stats::{Rates, summary};
pub(crate) use system_logs::system_logs;
