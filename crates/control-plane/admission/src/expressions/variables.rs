//! The variables of a policy: expressions that are evaluated when another one names them, at most once for each group of expressions.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use serde_json::Value as Json;
use windlass_api::text::quoted;
use windlass_cel::admission::{CompileError, Compiled, Declarations, Environment, compile_expression, variable};
use windlass_cel::{Error, Fields, Map, Mode, PER_CALL_LIMIT, Type, Value, with_room};
use windlass_machinery::tree::{items, text};

use super::inputs::Inputs;

/// Variables may lead to each other this deep. Upstream has no bound but its memory.
const CHAIN_MAX: usize = 400;
/// What a link of the chain may need, in units of nesting.
const LINK_NESTING: usize = 40;

/// The variables of a policy, compiled; none for a webhook.
#[derive(Debug, Default)]
pub struct Variables {
    all: Vec<Variable>,
    /// Where variables stand, by their names.
    places: HashMap<String, usize>,
    /// How many of them can be under way at once.
    chain: usize,
}

#[derive(Debug)]
struct Variable {
    name: String,
    compiled: Result<Compiled, CompileError>,
}

impl Variables {
    /// Compiles the `variables` of a policy's specification, each of which sees those before it.
    pub fn compile(spec: &Json, environment: &mut Environment, declarations: Declarations) -> Self {
        let mut variables = Self::default();
        for variable in items(spec, "variables") {
            let name = text(variable, "name");
            let env = environment.env(Mode::Stored, declarations);
            let compiled = compile_expression(&env, text(variable, "expression"), &[]);
            let of: Option<&Type> = compiled.as_ref().ok().map(|compiled| compiled.expression.output_type());
            environment.add(name, of);
            let leads_on = compiled.as_ref().is_ok_and(|compiled| compiled.expression.uses(variable::VARIABLES));
            variables.chain += usize::from(leads_on);
            // The last of a name counts, also for those before it.
            variables.places.insert(name.to_owned(), variables.all.len());
            variables.all.push(Variable { name: name.to_owned(), compiled });
        }
        variables
    }

    /// Does the work with all values of a write, among which these variables are.
    pub(crate) fn with<T: Send>(&self, inputs: &Inputs<'_>, work: impl FnOnce(&Scope<'_>) -> T + Send) -> Option<T> {
        let run = || {
            let names = Names::default();
            let mut values = inputs.values();
            values.push((variable::VARIABLES, Value::Map(Map::Fields(&names))));
            let values = Values::of(self, values);
            // It is empty.
            let _ = names.0.set(&values);
            work(&Scope { values: &values })
        };
        let nesting = if self.chain == 0 { 0 } else { LINK_NESTING * (1 + self.chain.min(CHAIN_MAX)) };
        with_room(nesting, run)
    }
}

/// The values that a group of expressions share.
pub(crate) struct Scope<'a> {
    values: &'a Values<'a>,
}

impl<'a> Scope<'a> {
    pub(super) fn values(&self) -> &'a [(&'a str, Value<'a>)] {
        &self.values.values
    }

    /// What variables have cost since this was asked last.
    pub(super) fn take_cost(&self) -> u64 {
        self.values.cost.swap(0, Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Known<'a> {
    value: OnceLock<Result<Value<'a>, Error>>,
    is_under_way: AtomicBool,
}

struct Values<'a> {
    values: Vec<(&'a str, Value<'a>)>,
    variables: &'a Variables,
    /// What is known of each variable.
    known: Vec<Known<'a>>,
    cost: AtomicU64,
    under_way: AtomicUsize,
}

impl<'a> Values<'a> {
    fn of(variables: &'a Variables, values: Vec<(&'a str, Value<'a>)>) -> Self {
        let known = variables.all.iter().map(|_| Known::default()).collect();
        Self { values, variables, known, cost: AtomicU64::new(0), under_way: AtomicUsize::new(0) }
    }

    fn variable(&'a self, name: &str) -> Option<Result<Value<'a>, Error>> {
        let at = *self.variables.places.get(name)?;
        let (variable, known) = (&self.variables.all[at], &self.known[at]);
        if let Some(value) = known.value.get() {
            return Some(value.clone());
        }
        if known.is_under_way.swap(true, Ordering::Relaxed) {
            return Some(Err(variable.failed("evaluate", "it leads to itself")));
        }
        Some(known.value.get_or_init(|| self.evaluate(variable)).clone())
    }

    fn evaluate(&'a self, variable: &'a Variable) -> Result<Value<'a>, Error> {
        let compiled = variable.compiled.as_ref().map_err(|why| variable.failed("compile", why))?;
        if self.under_way.load(Ordering::Relaxed) >= CHAIN_MAX {
            return Err(variable.failed("evaluate", "too many variables lead to each other"));
        }
        self.under_way.fetch_add(1, Ordering::Relaxed);
        let evaluation = compiled.program.evaluate(&self.values, PER_CALL_LIMIT);
        self.under_way.fetch_sub(1, Ordering::Relaxed);
        self.cost.fetch_add(evaluation.cost, Ordering::Relaxed);
        evaluation.result.map_err(|why| variable.failed("evaluate", why))
    }
}

impl Variable {
    fn failed(&self, what: &str, why: impl fmt::Display) -> Error {
        Error::Argument(format!("composited variable {} fails to {what}: {why}", quoted(&self.name)))
    }
}

/// The value of `variables`.
#[derive(Default)]
struct Names<'a>(OnceLock<&'a Values<'a>>);

impl Fields for Names<'_> {
    fn field(&self, name: &str) -> Option<Result<Value<'_>, Error>> {
        self.0.get()?.variable(name)
    }

    fn names(&self) -> Vec<&str> {
        self.0.get().into_iter().flat_map(|values| &values.variables.all).map(|variable| &*variable.name).collect()
    }
}

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
