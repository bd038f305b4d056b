//! Admission: between authorization and storage, plugins may change what is written, and may refuse it.
//!
//! All mutating steps run before validation, all validating steps after it, in upstream's order. Plugins look at other
//! objects through [`Cluster`], which reads the store as it is now.

mod chain;
pub mod configuration;
pub mod plugins;
mod review;

pub use chain::{Chain, Plugin};
pub use plugins::{Charge, ChargedQuota};
pub use review::{Cluster, Operation, Review, Warnings};
