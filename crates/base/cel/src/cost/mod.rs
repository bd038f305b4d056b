//! What expressions cost: while they run, within a budget, and estimated before, from how large data may be.
//!
//! Both are upstream's, unit by unit (cel-go `interpreter/runtimecost.go` and `checker/cost.go`, apiserver `pkg/cel/library/cost.go`),
//! for its limits decide which expressions are accepted and which runs are stopped.

mod estimate;
mod functions;
mod run;
mod size;

pub use size::Range;

pub(crate) use estimate::estimate;
pub(crate) use run::{Budget, CostRule, equal_cost, not_equal_cost};

/// The most that one run may cost.
pub const PER_CALL_LIMIT: u64 = 1_000_000;
/// The most that all runs for one object may cost.
pub const RUNTIME_BUDGET: u64 = 10_000_000;

/// Of walking over a character or byte.
const STRING_FACTOR: f64 = 0.1;
/// Of matching a character of a pattern.
const PATTERN_FACTOR: f64 = 0.25;
const LIST_BASE: u64 = 10;
/// An authorizer's check, which is meant to be allowed twice in an expression.
const CHECK: u64 = 350_000;
