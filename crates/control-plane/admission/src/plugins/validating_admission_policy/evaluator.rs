//! The expressions of a policy, and what they decide about a write.

use std::time::Duration;

use serde_json::Value as Json;
use tokio::time::Instant;
use windlass_api::status::Reason;
use windlass_cel::admission::{Declarations, Environment};
use windlass_cel::{RUNTIME_BUDGET, Type, Value};
use windlass_machinery::tree::{items, text};

use crate::expressions::{Inputs, OutOfBudget, Scope, Write, Written, evaluate};
use crate::policies::{Policy, compile_written};

/// The longest message that an expression makes, in bytes.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;
const NO_ROOM: &str = "no thread for expressions that nest so deep";

/// What a policy does: its validations and its annotations for the audit log.
pub(super) struct Evaluator {
    validations: Vec<Validation>,
    annotations: Vec<Annotation>,
}

struct Validation {
    condition: Written,
    message: String,
    message_expression: Option<Written>,
    reason: Reason,
}

struct Annotation {
    key: String,
    value: Written,
}

/// What came of one evaluation of a policy.
#[derive(Default)]
pub(super) struct Outcome {
    /// One for each validation, or one for all.
    pub decisions: Vec<Decision>,
    /// Keys with values, or refusals for values that cannot be had.
    pub annotations: Vec<Noted>,
}

/// Whether a condition holds, or why that is not known; and how long it took to find out.
type Held = (Result<bool, String>, Duration);
/// A key with its value for the audit log, or a refusal.
type Noted = Result<(String, String), Decision>;

/// What is decided about a write.
pub(super) struct Decision {
    pub denies: bool,
    pub evaluation: Evaluation,
    pub message: String,
    pub reason: Reason,
    pub elapsed: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evaluation {
    Admit,
    Deny,
    /// Something could not be evaluated.
    Error,
}

impl Evaluator {
    pub(super) fn compile(spec: &Json, environment: &Environment, declarations: Declarations) -> Self {
        let of_message = Declarations { authorizer: false, ..declarations };
        let written = |source: &str, types: &[Type]| compile_written(source, environment, declarations, types);
        let validation = |validation: &Json| {
            let source = Some(text(validation, "messageExpression")).filter(|source| !source.is_empty());
            Validation {
                condition: written(text(validation, "expression"), &[Type::Bool]),
                message: text(validation, "message").trim().to_owned(),
                message_expression: source
                    .map(|source| compile_written(source, environment, of_message, &[Type::String])),
                reason: reason(text(validation, "reason")),
            }
        };
        let annotation = |annotation: &Json| Annotation {
            key: text(annotation, "key").to_owned(),
            value: written(text(annotation, "valueExpression"), &[Type::String, Type::Null]),
        };
        Self {
            validations: items(spec, "validations").map(validation).collect(),
            annotations: items(spec, "auditAnnotations").map(annotation).collect(),
        }
    }
}

fn reason(name: &str) -> Reason {
    match name {
        "Forbidden" => Reason::Forbidden,
        "Unauthorized" => Reason::Unauthorized,
        "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
        _ => Reason::Invalid,
    }
}

impl Policy<Evaluator> {
    /// Evaluates the policy for a write in a namespace, with parameters.
    pub(super) fn evaluate(&self, write: &Write<'_>, namespace: Option<&Json>, params: Option<&Json>) -> Outcome {
        let params = params.zip(self.params.as_ref().map(|params| &params.kind));
        let inputs = Inputs::of(write).with_params(params);
        match self.conditions.evaluate(&inputs, &self.variables) {
            Ok(true) => {}
            Ok(false) => return Outcome::default(),
            Err(why) => return Outcome::of(self.error(why)),
        }
        let inputs = inputs.with_namespace(namespace);
        let mut budget = RUNTIME_BUDGET;
        let conditions = match self.group(&inputs, |scope| self.conditions_of(scope, &mut budget)) {
            Ok(conditions) => conditions,
            Err(why) => return Outcome::of(self.error(why)),
        };
        // Neither messages nor annotations can ask the authorizer.
        let inputs = inputs.with_authorizer(false);
        let messages = match self.evaluator.validations.iter().any(|validation| validation.message_expression.is_some())
        {
            true => self.group(&inputs, |scope| self.messages(scope, budget)),
            false => Ok(vec![None; conditions.len()]),
        };
        let decisions = self.decisions(conditions, &messages);
        if self.evaluator.annotations.is_empty() {
            return Outcome { decisions, annotations: Vec::new() };
        }
        match self.group(&inputs, |scope| self.annotations(scope)) {
            Ok(annotations) => Outcome { decisions, annotations },
            Err(why) => Outcome::of(self.error(why)),
        }
    }

    /// Evaluates expressions that share variables.
    fn group<T: Send>(
        &self,
        inputs: &Inputs<'_>,
        work: impl FnOnce(&Scope<'_>) -> Result<T, OutOfBudget> + Send,
    ) -> Result<T, String> {
        let result = self.variables.with(inputs, work).ok_or_else(|| NO_ROOM.to_owned())?;
        result.map_err(|spent| spent.to_string())
    }

    /// Whether each condition holds, or why that is not known.
    fn conditions_of(&self, scope: &Scope<'_>, budget: &mut u64) -> Result<Vec<Held>, OutOfBudget> {
        let validations = self.evaluator.validations.iter();
        validations
            .map(|validation| {
                let started = Instant::now();
                let value = evaluate(&validation.condition, scope, budget)?;
                Ok((value.map(|value| value.as_bool() == Some(true)), started.elapsed()))
            })
            .collect()
    }

    /// The messages that expressions make, where they make any.
    fn messages(&self, scope: &Scope<'_>, mut budget: u64) -> Result<Vec<Option<String>>, OutOfBudget> {
        let validations = self.evaluator.validations.iter();
        validations
            .map(|validation| {
                let Some(expression) = &validation.message_expression else { return Ok(None) };
                let value = evaluate(expression, scope, &mut budget)?;
                Ok(value.ok().and_then(|value| usable_message(value.as_str()?)))
            })
            .collect()
    }

    fn decisions(&self, conditions: Vec<Held>, messages: &Result<Vec<Option<String>>, String>) -> Vec<Decision> {
        let each = self.evaluator.validations.iter().zip(conditions).enumerate();
        each.map(|(index, (validation, (holds, elapsed)))| {
            let decision = match (holds, messages) {
                (Err(why), _) => self.error(why),
                (Ok(_), Err(why)) => self.error(format!("failed messageExpression: {why}")),
                (Ok(true), Ok(_)) => Decision::admit(),
                (Ok(false), Ok(messages)) => Decision {
                    denies: true,
                    evaluation: Evaluation::Deny,
                    message: messages[index].clone().unwrap_or_else(|| validation.fixed_message()),
                    reason: validation.reason.clone(),
                    elapsed,
                },
            };
            Decision { elapsed, ..decision }
        })
        .collect()
    }

    fn annotations(&self, scope: &Scope<'_>) -> Result<Vec<Noted>, OutOfBudget> {
        let mut budget = RUNTIME_BUDGET;
        let mut all = Vec::new();
        for Annotation { key, value } in &self.evaluator.annotations {
            let started = Instant::now();
            match evaluate(value, scope, &mut budget)? {
                Ok(Value::String(value)) if !value.as_str().trim().is_empty() => {
                    all.push(Ok((key.clone(), value.as_str().trim().to_owned())));
                }
                // Nothing to be noted.
                Ok(Value::String(_) | Value::Null) => {}
                Ok(other) => {
                    let why = format!(
                        "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either string or null.",
                        value.source,
                        other.type_name()
                    );
                    all.push(Err(Decision { denies: true, elapsed: started.elapsed(), ..self.error(why) }));
                }
                Err(why) if self.fails => all.push(Err(Decision { elapsed: started.elapsed(), ..self.error(why) })),
                Err(_) => {}
            }
        }
        Ok(all)
    }

    /// What is decided when something cannot be evaluated.
    fn error(&self, message: String) -> Decision {
        Decision { denies: self.fails, evaluation: Evaluation::Error, message, ..Decision::admit() }
    }
}

impl Validation {
    /// The message of a write that breaks the condition, when no expression makes one.
    fn fixed_message(&self) -> String {
        match &*self.message {
            "" => format!("failed expression: {}", self.condition.source.trim()),
            message => message.to_owned(),
        }
    }
}

impl Outcome {
    fn of(decision: Decision) -> Self {
        Self { decisions: vec![decision], annotations: Vec::new() }
    }
}

impl Decision {
    fn admit() -> Self {
        let (message, elapsed) = (String::new(), Duration::ZERO);
        Self { denies: false, evaluation: Evaluation::Admit, message, reason: Reason::Invalid, elapsed }
    }
}

/// A message that fits into one line of an answer.
fn usable_message(message: &str) -> Option<String> {
    let message = message.trim();
    let is_usable = !message.is_empty() && message.len() <= MESSAGE_BYTES_MAX && !message.contains('\n');
    is_usable.then(|| message.to_owned())
}
