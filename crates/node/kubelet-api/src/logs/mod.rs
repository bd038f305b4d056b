//! The logs of containers: files in the CRI's format that the runtime writes and the kubelet rotates.

mod entry;
mod file;
mod instance;
mod options;
mod read;

pub(crate) use instance::{InstanceError, instance};
pub(crate) use options::LogOptions;
pub(crate) use read::read;
