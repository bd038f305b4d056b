//! Message expressions: what is said of a broken rule, computed from the value that breaks it.

use windlass_api::text::quoted;
use windlass_cel::{Error, PER_CALL_LIMIT, Program, Value};

/// The longest message, in bytes.
const BYTES_MAX: usize = 5 * 1024;

/// A message expression, ready to run.
pub(super) struct MessageExpression {
    pub(super) program: Program,
    pub(super) source: Box<str>,
}

/// Why there is no message.
pub(super) enum NoMessage {
    /// Another text stands in for it.
    Replaced,
    /// It costs too much: nothing else is evaluated, and this is said.
    TooCostly(String),
}

impl MessageExpression {
    /// The message; what it costs is taken from the budget.
    pub(super) fn evaluate<'a>(
        &'a self,
        variables: &'a [(&'a str, Value<'a>)],
        budget: &mut i64,
    ) -> Result<String, NoMessage> {
        let evaluation = self.program.evaluate(variables, PER_CALL_LIMIT);
        let cost = i64::try_from(evaluation.cost).ok().filter(|cost| cost <= budget);
        let Some(cost) = cost else {
            let detail = "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run";
            return Err(NoMessage::TooCostly(detail.to_owned()));
        };
        if matches!(evaluation.result, Err(Error::Budget)) {
            let source = quoted(&self.source);
            return Err(NoMessage::TooCostly(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {source}"
            )));
        }
        *budget -= cost;
        let value = evaluation.result.map_err(|_| NoMessage::Replaced)?;
        let message = value.as_str().unwrap_or_default().trim();
        let is_usable = !message.is_empty() && message.len() <= BYTES_MAX && !message.contains('\n');
        if is_usable { Ok(message.to_owned()) } else { Err(NoMessage::Replaced) }
    }
}
