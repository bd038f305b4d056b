//! How much objects count against the quotas of their namespace.
//!
//! Admission charges a quota for an object in the write of it, and the quota's controller counts again what there is: both must come to
//! the same figures, so both ask here. Everything is a pure function of objects; nothing here knows where they come from.
//!
//! Source: upstream `pkg/quota/v1/evaluator/core`.

mod amounts;
mod claims;
mod devices;
mod evaluator;
mod pods;
mod scopes;
mod services;

pub use amounts::{Amounts, amounts, pretty, to_value};
pub use evaluator::{Evaluator, counted_by};
pub use scopes::{Scope, scopes_of};
