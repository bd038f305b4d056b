//! The rules in `x-kubernetes-validations`: their form, whether their expressions compile, and what they may cost.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_cel::Patterns;
use windlass_machinery::tree::{items, text};

use crate::rules::at;

use super::super::go_form;
use super::super::schema::{Schema, VALIDATIONS};
use super::demands::Demands;
use super::rule_context::Context;
use super::rule_costs::Costs;
use crate::definition::rules::{Types, compile, field_path};

const REASONS: [&str; 4] = ["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];

/// Judges what stands around the expressions of a node. `converts` says whether the node can be read as a structural schema.
pub(super) fn validate_shape(errors: &mut Errors, schema: Schema<'_>, converts: bool, path: &Path<'_>) {
    let path = path.child(VALIDATIONS);
    for (index, rule) in items(schema.0, VALIDATIONS).enumerate() {
        let path = path.index(index);
        validate_texts(errors, rule, &path);
        let expression = text(rule, "messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            errors.push_with(|| Error::required(&path.child("messageExpression"), detail));
        }
        if let Some(reason) = at(rule, "reason").and_then(Value::as_str).filter(|reason| !REASONS.contains(reason)) {
            errors.push_with(|| Error::not_supported(&path.child("reason"), reason, &REASONS));
        }
        validate_field_path(errors, rule, schema, converts, &path.child("fieldPath"));
    }
}

/// The rule and the message: the first problem of the two.
fn validate_texts(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let (expression, message) = (text(rule, "rule").trim(), text(rule, "message"));
    let trimmed = message.trim();
    let message_path = path.child("message");
    if expression.is_empty() {
        errors.push_with(|| Error::required(&path.child("rule"), "rule is not specified"));
    } else if !message.is_empty() && trimmed.is_empty() {
        errors.push_with(|| Error::invalid(&message_path, message, "must be non-empty if specified"));
    } else if has_line_break(trimmed) {
        errors.push_with(|| Error::invalid(&message_path, message, "must not contain line breaks"));
    } else if has_line_break(expression) && trimmed.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        errors.push_with(|| Error::required(&message_path, detail));
    }
}

fn validate_field_path(errors: &mut Errors, rule: &Value, schema: Schema<'_>, converts: bool, path: &Path<'_>) {
    let written = text(rule, "fieldPath");
    if written.is_empty() {
        return;
    }
    let leads_nowhere = || converts && field_path::find(written, Some(schema.0), true).is_err();
    for (is_wrong, detail) in [
        (written.trim().is_empty(), "must be non-empty if specified"),
        (has_line_break(written), "must not contain line breaks"),
        (leads_nowhere(), "must be a valid path"),
    ] {
        if is_wrong {
            errors.push_with(|| Error::invalid(path, written, detail));
        }
    }
}

fn has_line_break(text: &str) -> bool {
    text.contains(['\n', '\r'])
}

/// What the expressions of a schema are held against.
pub(super) struct Expressions<'d> {
    pub(super) demands: &'d Demands<'d>,
    pub(super) patterns: Arc<Patterns>,
    pub(super) errors: Errors,
    pub(super) costs: Costs,
}

impl Expressions<'_> {
    /// Judges the expressions of a node whose schema is sound: whether they compile, and what they may cost. `uncorrelatable` is the
    /// path of the first node above whose values cannot be found again in another revision of an object, if there is one.
    pub(super) fn validate(
        &mut self,
        schema: Schema<'_>,
        context: Context<'_>,
        uncorrelatable: Option<&Path<'_>>,
        path: &Path<'_>,
    ) {
        if items(schema.0, VALIDATIONS).next().is_none() {
            return;
        }
        let path = path.child(VALIDATIONS);
        let types = Types::of(context.shape).filter(|_| !context.is_untyped);
        let Some(types) = types else {
            let detail = "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations";
            self.errors.push_with(|| Error::internal(&path, detail));
            return;
        };
        for (index, rule) in items(schema.0, VALIDATIONS).enumerate() {
            let path = path.index(index);
            let uses_old_self = self.validate_rule(rule, &types, context, &path);
            self.validate_old_self(rule, uses_old_self, uncorrelatable, &path);
        }
    }

    /// Compiles a rule and its message; whether the rule uses the old value, which one that does not compile never does.
    fn validate_rule(&mut self, rule: &Value, types: &Types, context: Context<'_>, path: &Path<'_>) -> bool {
        let rule_path = path.child("rule");
        let compiled = match compile(rule, types, self.demands.modes(rule), &self.patterns) {
            None => return false,
            Some(Err(detail)) => {
                self.errors.push_with(|| go_form::invalid(&rule_path, &go_form::rule(rule), &detail));
                return false;
            }
            Some(Ok(compiled)) => compiled,
        };
        let cost = context.cost_max(compiled.cost_max(), types);
        self.costs.add(&mut self.errors, &rule_path, "rule", cost);
        let message_path = path.child("messageExpression");
        match &compiled.message {
            None => {}
            Some(Ok(message)) => {
                self.costs.add(&mut self.errors, &message_path, "messageExpression", message.cost_max());
            }
            Some(Err(detail)) => {
                self.errors.push_with(|| go_form::invalid(&message_path, &go_form::rule(rule), detail));
            }
        }
        compiled.uses_old_self
    }

    fn validate_old_self(&mut self, rule: &Value, is_used: bool, uncorrelatable: Option<&Path<'_>>, path: &Path<'_>) {
        if is_used {
            if let Some(ancestor) = uncorrelatable {
                let detail =
                    format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {ancestor}");
                self.errors.push_with(|| Error::invalid(&path.child("rule"), text(rule, "rule"), detail));
            }
        } else if let Some(value) = at(rule, "optionalOldSelf") {
            let detail = "may not be set if oldSelf is not used in rule";
            self.errors.push_with(|| Error::invalid(&path.child("optionalOldSelf"), value.clone(), detail));
        }
    }
}
