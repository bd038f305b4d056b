//! Which writes a webhook or a policy is about.
//!
//! [`Matcher`] is what the configuration says of it, compiled: rules, selectors of labels, names, exclusions. [`Followed`] keeps what is
//! compiled of the objects of a table until the table changes. What expressions say beyond (`matchConditions`) stands in
//! [`expressions`](crate::expressions).
//!
//! Source: apiserver `pkg/admission/plugin/policy/matching` and `webhook/{generic,predicates}`.

mod exempt;
mod followed;
mod matcher;
mod rule;
#[cfg(test)]
mod tests;

pub use exempt::{is_exempt, is_exempt_from_policies};
pub use followed::{All, Followed};
pub(crate) use matcher::LabelsOf;
pub use matcher::{Matched, Matcher};
