//! Programs: checked expressions made ready to run, and running them.
//!
//! A program is a tree of [`node::Node`]s that mirrors how cel-go runs an expression, because that decides what a run costs. Constants
//! are borrowed from it, and data from the caller, so that an expression that only compares allocates nothing.

mod attribute;
mod fold;
mod node;
mod plan;
mod run;

use crate::check::Checked;
use crate::cost::Budget;
use crate::env::Env;
use crate::error::Error;
use crate::stack::with_room;
use crate::value::Value;
use crate::work;

use node::Node;

/// An expression that can run.
#[derive(Debug)]
pub struct Program {
    root: Node,
    /// How many variables of macros there are.
    locals: usize,
    depth: usize,
}

/// Why a checked expression cannot run: what is constant in it fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

/// What came of a run.
#[derive(Debug)]
pub struct Evaluation<'a> {
    pub result: Result<Value<'a>, Error>,
    /// What was spent, in upstream's units, also when there is no value.
    pub cost: u64,
}

impl PlanError {
    pub(crate) fn no_room() -> Self {
        Self("no thread for an expression that nests so deep".to_owned())
    }
}

impl Program {
    pub(crate) fn plan(checked: &Checked, env: &Env, depth: usize) -> Result<Self, PlanError> {
        let (root, locals) = plan::plan(checked, env)?;
        Ok(Self { root, locals, depth })
    }

    /// Runs the program on variables, and stops when it has spent more than `cost_max`.
    pub fn evaluate<'a>(&'a self, variables: &'a [(&'a str, Value<'a>)], cost_max: u64) -> Evaluation<'a> {
        let run = || {
            let mut machine = run::Machine::new(variables, self.locals, Budget::new(cost_max));
            let result = machine.node(&self.root);
            let result = if work::is_exhausted() { Err(Error::Budget) } else { result };
            Evaluation { result, cost: machine.cost() }
        };
        let no_room = || Evaluation { result: Err(Error::Argument(PlanError::no_room().0)), cost: 0 };
        with_room(self.depth, || work::bounded(run)).unwrap_or_else(no_room)
    }
}
