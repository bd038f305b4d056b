//! Admission: between authorization and storage, plugins may change what is written, and may refuse it.
//!
//! All mutating steps run before validation, all validating steps after it, in upstream's order. Plugins look at other
//! objects through [`Cluster`], which reads the store as it is now. Last, the write is [charged](Charge) to the quotas of its
//! namespace.

mod chain;
pub mod configuration;
pub mod expressions;
#[cfg(test)]
mod fake;
pub mod matching;
pub mod plugins;
mod policies;
mod quota;
mod reinvocation;
pub mod request;
mod review;

pub use chain::{Chain, Plugin};
pub use quota::{Charge, ChargedQuota};
pub use reinvocation::{Invoked, Reinvocation};
pub use review::{AuditAnnotations, Cluster, Equivalent, Operation, OperationOptions, Review, Served, Warnings};
