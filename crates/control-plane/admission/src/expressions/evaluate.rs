//! One expression within a budget.

use windlass_cel::admission::{CompileError, Compiled};
use windlass_cel::{PER_CALL_LIMIT, Value};

use super::variables::Scope;

/// What the match conditions of a webhook or a policy may spend on one write.
pub(super) const MATCH_CONDITIONS_BUDGET: u64 = 2_500_000;

/// The expressions that share a budget have spent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("validation failed due to running out of cost budget, no further validation rules will be run")]
pub struct OutOfBudget;

/// An expression as it was written, with what became of it.
#[derive(Debug)]
pub struct Written {
    pub source: String,
    pub compiled: Result<Compiled, CompileError>,
}

/// Evaluates an expression; takes what it costs from the budget. The inner error says in upstream's words why there is no value.
pub(crate) fn evaluate<'v, 'a: 'v>(
    written: &'v Written,
    scope: &'v Scope<'a>,
    budget: &mut u64,
) -> Result<Result<Value<'v>, String>, OutOfBudget> {
    let compiled = match &written.compiled {
        Ok(compiled) => compiled,
        Err(why) => return Ok(Err(format!("compilation error: {why}"))),
    };
    let evaluation = compiled.program.evaluate(scope.values(), PER_CALL_LIMIT);
    let cost = scope.take_cost().saturating_add(evaluation.cost);
    *budget = budget.checked_sub(cost).ok_or(OutOfBudget)?;
    Ok(evaluation.result.map_err(|why| format!("expression '{}' resulted in error: {why}", written.source)))
}
