//! Admission: between authorization and storage, plugins may change what is written, and may refuse it.
//!
//! All mutating steps run before validation, all validating steps after it, in upstream's order. Plugins look at other
//! objects through [`Cluster`], which reads the store as it is now. Last, the write is [charged](Charge) to the quotas of its
//! namespace.

mod chain;
pub mod configuration;
mod deletion;
pub mod expressions;
#[cfg(test)]
mod fake;
#[doc(hidden)]
pub mod fuzz;
pub mod matching;
pub mod plugins;
mod policies;
mod quota;
mod read_once;
mod reinvocation;
pub mod request;
mod review;
mod signers;
mod webhooks;

pub use chain::{Chain, Plugin};
pub use deletion::concerns_deletion_only;
pub use quota::{Charge, ChargedQuota};
pub use reinvocation::{Invoked, Reinvocation};
pub use review::{AuditAnnotations, Cluster, Equivalent, Operation, OperationOptions, Review, Served, Warnings};
pub use signers::may_for_signer;
