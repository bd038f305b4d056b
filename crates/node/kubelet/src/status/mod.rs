//! The status of a pod, as a pure function of what is observed, and the one writer that brings it to the API.
//!
//! - [`generate`]: everything together
//! - [`containers`]: statuses of containers
//! - [`phase`]: the phase that they come to
//! - [`conditions`]: the conditions that the kubelet owns
//! - [`patch`]: the difference between two statuses, as a patch that disturbs nobody else's fields
//! - [`writer`]: writes, and deletes what has ended

mod conditions;
mod containers;
mod generate;
mod input;
mod patch;
mod phase;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use generate::{generate, terminated};
pub(crate) use input::{EVICTED, Eviction, StatusInput};
pub(crate) use writer::{StatusWriter, Wanted};

use jiff::Timestamp;
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::Time;

/// An instant of the API: whole seconds.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
