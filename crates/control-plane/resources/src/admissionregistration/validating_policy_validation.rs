//! What is wrong with a ValidatingAdmissionPolicy.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_cel::Type;
use windlass_machinery::tree::{items, text};

use super::match_conditions::Known;
use super::policy_validation::Update;
use crate::expression_validation::{compiled, validate_expression};
use crate::rules::{at, complain, supported};
use windlass_cel::admission::{Declarations, Environment, compile_expression};

const AUDIT_ANNOTATIONS_MAX: usize = 20;
const VALUE_EXPRESSION_BYTES_MAX: usize = 5 * 1024;
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

/// Validates a policy, or an update of one.
pub(super) fn validate_policy(errors: &mut Errors, object: &Value, old: Option<&Value>) {
    let update = Update::of(object, old);
    let path = Path::new("spec");
    let validations = KnownValidations {
        expressions: update.known("validations", "expression"),
        messages: update.known("validations", "messageExpression"),
    };
    update.validate_common(errors, &path, false);
    let has_variables = items(update.spec, "variables").next().is_some();
    let patterns = update.patterns.clone();
    let mut environment =
        if has_variables { Environment::of_policy(patterns) } else { Environment::of_webhook(patterns) };
    update.validate_variables(errors, &path, &mut environment, &validations.expressions);
    let mut has_any = false;
    let list_path = path.child("validations");
    for (index, validation) in items(update.spec, "validations").enumerate() {
        has_any = true;
        if !errors.is_full() {
            validate_validation(errors, validation, &list_path.index(index), &environment, &update, &validations);
        }
    }
    has_any |= items(update.spec, "auditAnnotations").next().is_some();
    if has_any {
        validate_audit_annotations(errors, object, &path.child("auditAnnotations"), &environment, &update);
        return;
    }
    for list in ["validations", "auditAnnotations"] {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(Error::required(&path.child(list), detail));
    }
}

/// The expressions of validations that were accepted already.
struct KnownValidations<'a> {
    expressions: Known<'a>,
    messages: Known<'a>,
}

fn validate_validation(
    errors: &mut Errors,
    validation: &Value,
    path: &Path<'_>,
    environment: &Environment,
    update: &Update<'_>,
    known: &KnownValidations<'_>,
) {
    let expression = text(validation, "expression");
    if expression.trim().is_empty() {
        errors.push(Error::required(&path.child("expression"), "expression is not specified"));
    } else {
        let env = environment.env(known.expressions.mode(expression), update.declarations());
        validate_expression(errors, &path.child("expression"), &env, expression, &[Type::Bool]);
    }
    let message_expression = text(validation, "messageExpression");
    if !message_expression.trim().is_empty() {
        let declarations = Declarations { authorizer: false, ..update.declarations() };
        let env = environment.env(known.messages.mode(message_expression), declarations);
        validate_expression(errors, &path.child("messageExpression"), &env, message_expression, &[Type::String]);
    } else if !message_expression.is_empty() {
        let detail = "must be non-empty if specified";
        errors.push(Error::invalid(&path.child("messageExpression"), message_expression, detail));
    }
    let message = text(validation, "message");
    if !message.is_empty() && message.trim().is_empty() {
        errors.push(Error::invalid(&path.child("message"), message, "must be non-empty if specified"));
    } else if message.trim().contains(['\n', '\r']) {
        errors.push(Error::invalid(&path.child("message"), message, "must not contain line breaks"));
    }
    if at(validation, "reason").is_some() {
        supported(errors, &path.child("reason"), text(validation, "reason"), &REASONS);
    }
}

fn validate_audit_annotations(
    errors: &mut Errors,
    object: &Value,
    path: &Path<'_>,
    environment: &Environment,
    update: &Update<'_>,
) {
    let annotations = || items(update.spec, "auditAnnotations");
    if annotations().count() > AUDIT_ANNOTATIONS_MAX {
        // Upstream shows them as it has them inside.
        let shown: Vec<Value> = annotations()
            .map(|one| json!({"Key": text(one, "key"), "ValueExpression": text(one, "valueExpression")}))
            .collect();
        let detail = format!("must not have more than {AUDIT_ANNOTATIONS_MAX} auditAnnotations");
        errors.push(Error::invalid(path, shown, detail));
    }
    let known = update.known("auditAnnotations", "valueExpression");
    let name = text(&object["metadata"], "name");
    let mut keys = BTreeSet::new();
    for (index, annotation) in annotations().enumerate() {
        let path = path.index(index);
        let (key, key_path) = (text(annotation, "key"), path.child("key"));
        if name.is_empty() {
            errors.push(Error::invalid(&key_path, key, "requires metadata.name be non-empty"));
        } else {
            let whole = format!("{name}/{key}");
            complain(errors, &key_path, &whole, names::qualified_name(&whole));
        }
        validate_value(errors, text(annotation, "valueExpression"), &path, environment, update, &known);
        if !keys.insert(key) {
            errors.push(Error::duplicate(&key_path, key));
        }
    }
}

fn validate_value(
    errors: &mut Errors,
    written: &str,
    path: &Path<'_>,
    environment: &Environment,
    update: &Update<'_>,
    known: &Known<'_>,
) {
    let (expression, path) = (written.trim(), path.child("valueExpression"));
    if expression.is_empty() {
        errors.push(Error::required(&path, "valueExpression is not specified"));
    } else if expression.len() > VALUE_EXPRESSION_BYTES_MAX {
        errors.push(Error::required(&path, format!("must not exceed {VALUE_EXPRESSION_BYTES_MAX} bytes in length")));
    } else if !errors.is_full() {
        let env = environment.env(known.mode(written), update.declarations());
        compiled(errors, &path, compile_expression(&env, expression, &[Type::String, Type::Null]), written);
    }
}
