//! Expressions about a write, and their values: match conditions of webhooks, and everything in a policy.
//!
//! [`Versioned`] is the write as one that a configuration matches, its objects converted; [`Write`] is what expressions see of it, [`Inputs`]
//! what one of them may name, and [`Variables`] what a policy adds to that. [`MatchConditions`] says whether a webhook or a policy is asked at all.
//!
//! Source: apiserver `pkg/admission/plugin/cel` and `webhook/matchconditions`.

mod authorizer;
mod evaluate;
mod inputs;
mod match_conditions;
#[cfg(test)]
mod tests;
mod typed;
mod variables;
mod versioned;

pub(crate) use evaluate::evaluate;
pub use evaluate::{OutOfBudget, Written};
pub use inputs::{Inputs, Write};
pub use match_conditions::MatchConditions;
pub(crate) use variables::Scope;
pub use variables::Variables;
pub use versioned::Versioned;
