//! Match conditions: expressions all of which must be true for a webhook or a policy to be asked.

use std::sync::Arc;

use serde_json::Value as Json;
use windlass_api::text::aggregate;
use windlass_cel::admission::{Declarations, Environment, compile_expression};
use windlass_cel::{Mode, Patterns, Type};
use windlass_machinery::tree::{items, text};

use super::evaluate::{MATCH_CONDITIONS_BUDGET, Written, evaluate};
use super::inputs::Inputs;
use super::variables::{Scope, Variables};

/// The `matchConditions` of a webhook or a policy, compiled.
#[derive(Debug)]
pub struct MatchConditions {
    conditions: Vec<Written>,
    /// What cannot be evaluated is an error (`failurePolicy: Fail`), and not a write that does not match.
    fails: bool,
}

impl MatchConditions {
    /// Reads an entry of `webhooks`, whose regular expressions are charged with those of the others.
    pub fn of_webhook(webhook: &Json, patterns: &Arc<Patterns>) -> Self {
        let declarations = Declarations { params: false, authorizer: true };
        Self::compile(webhook, &Environment::of_webhook(patterns.clone()), declarations)
    }

    /// Reads the `matchConditions` and the `failurePolicy` of a webhook, or of a policy's specification.
    pub fn compile(owner: &Json, environment: &Environment, declarations: Declarations) -> Self {
        let env = environment.env(Mode::Stored, declarations);
        let written = |condition: &Json| {
            let source = text(condition, "expression").to_owned();
            Written { compiled: compile_expression(&env, &source, &[Type::Bool]), source }
        };
        let conditions = items(owner, "matchConditions").map(written).collect();
        Self { conditions, fails: text(owner, "failurePolicy") != "Ignore" }
    }

    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether all conditions are true of a write. One that is false decides, whatever else cannot be evaluated; otherwise the error says
    /// what could not.
    pub fn evaluate(&self, inputs: &Inputs<'_>, variables: &Variables) -> Result<bool, String> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        let no_room = || Err("no thread for expressions that nest so deep".to_owned());
        match variables.with(inputs, |scope| self.all(scope)).unwrap_or_else(no_room) {
            Err(_) if !self.fails => Ok(false),
            result => result,
        }
    }

    fn all(&self, scope: &Scope<'_>) -> Result<bool, String> {
        let mut budget = MATCH_CONDITIONS_BUDGET;
        let mut values = Vec::with_capacity(self.conditions.len());
        // All are evaluated before any is looked at: one that is out of budget fails the others.
        for condition in &self.conditions {
            let value = evaluate(condition, scope, &mut budget).map_err(|error| error.to_string())?;
            values.push(value.map(|value| value.as_bool()));
        }
        if values.contains(&Ok(Some(false))) {
            return Ok(false);
        }
        let errors: Vec<String> = values.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(true) } else { Err(aggregate(errors)) }
    }
}
