//! Role-based access control.
//!
//! The index answers in about a microsecond: bindings are found by subject, and a binding leads to the rules of its role.

pub mod bootstrap;
mod escalation;
mod index;
mod reconcile;
mod rule;

pub use escalation::{describe, quoted, uncovered};
pub use index::{BindingKey, Rbac, RoleKey, RoleRef, Subject};
pub use reconcile::{Reconciliation, reconciliation};
pub use rule::Rule;
