//! What is wrong with a request for devices.

use std::sync::LazyLock;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_cel::devices::{SELECTOR_COST_MAX, device_env, is_selector};
use windlass_cel::{Env, Mode};
use windlass_machinery::tree::{items, number, text};

use super::complaints::Complaints;
use crate::expression_validation::validate_expression;
use crate::rules::{complain, label_name, object_at, supported};

const ALTERNATIVES_MAX: usize = 8;
const SELECTORS_MAX: usize = 32;
const EXPRESSION_BYTES_MAX: usize = 10 << 10;

pub(super) fn validate_request(found: &mut Complaints, request: &Value, path: &Path<'_>) {
    let name = text(request, "name");
    complain(&mut found.coded, &path.child("name"), name, names::dns1123_label(name));
    let exactly = object_at(request, "exactly");
    match (exactly, items(request, "firstAvailable").next()) {
        (None, None) => {
            found.coded.push(Error::required(path, "exactly one of `exactly` or `firstAvailable` is required"));
        }
        (Some(exactly), Some(_)) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            found.coded.push(Error::invalid(path, Value::Null, detail));
            // Only the declared rules look further.
            let mut both = Complaints::default();
            validate_exactly(&mut both, exactly, &path.child("exactly"));
            validate_alternatives(&mut both, request, path);
            found.declared.extend(both.declared);
        }
        (Some(exactly), None) => validate_exactly(found, exactly, &path.child("exactly")),
        (None, Some(_)) => validate_alternatives(found, request, path),
    }
}

fn validate_exactly(found: &mut Complaints, request: &Value, path: &Path<'_>) {
    let class = text(request, "deviceClassName");
    let class_path = path.child("deviceClassName");
    if class.is_empty() {
        found.coded.push(Error::required(&class_path, ""));
    } else {
        complain(&mut found.coded, &class_path, class, names::dns1123_subdomain(class));
    }
    validate_devices(found, request, path);
}

fn validate_alternatives(found: &mut Complaints, request: &Value, path: &Path<'_>) {
    if !found.is_within(request, path, "firstAvailable", ALTERNATIVES_MAX) {
        return;
    }
    found.unique(request, path, "firstAvailable", |alternative| text(alternative, "name"));
    let path = path.child("firstAvailable");
    for (index, alternative) in items(request, "firstAvailable").enumerate() {
        let path = path.index(index);
        let (name, class) = (text(alternative, "name"), text(alternative, "deviceClassName"));
        complain(&mut found.coded, &path.child("name"), name, names::dns1123_label(name));
        let class_path = path.child("deviceClassName");
        if class.is_empty() {
            found.declared.push(Error::required(&class_path, ""));
        } else {
            complain(&mut found.declared, &class_path, class, names::long_name(class, false));
        }
        validate_devices(found, alternative, &path);
    }
}

/// Which devices of the class, and how many.
fn validate_devices(found: &mut Complaints, request: &Value, path: &Path<'_>) {
    validate_selectors(found, request, path);
    let (mode, count) = (text(request, "allocationMode"), number(request, "count"));
    let count_path = path.child("count");
    match mode {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            found.coded.push(Error::invalid(&count_path, count, detail));
        }
        "ExactCount" if count <= 0 => {
            found.coded.push(Error::invalid(&count_path, count, "must be greater than zero"));
        }
        _ => supported(&mut found.declared, &path.child("allocationMode"), mode, &["All", "ExactCount"]),
    }
    let path = path.child("tolerations");
    for (index, toleration) in items(request, "tolerations").enumerate() {
        validate_toleration(found, toleration, &path.index(index));
    }
}

/// Expressions are there, not too long, and right. Those that were stored were right then.
pub(super) fn validate_selectors(found: &mut Complaints, owner: &Value, path: &Path<'_>) {
    if !found.is_within(owner, path, "selectors", SELECTORS_MAX) {
        return;
    }
    let path = path.child("selectors");
    for (index, selector) in items(owner, "selectors").enumerate() {
        let cel_path = path.index(index);
        let cel_path = cel_path.child("cel");
        match object_at(selector, "cel") {
            None => found.coded.push(Error::required(&cel_path, "")),
            Some(_) if found.selectors_are_stored || found.coded.is_full() => {}
            Some(cel) => {
                validate_selector(&mut found.coded, text(cel, "expression"), &cel_path.child("expression"));
            }
        }
    }
}

fn validate_selector(errors: &mut Errors, expression: &str, path: &Path<'_>) {
    static ENVIRONMENT: LazyLock<Env> = LazyLock::new(|| device_env(Mode::New));
    if expression.len() > EXPRESSION_BYTES_MAX {
        return errors.push(Error::too_long(path, EXPRESSION_BYTES_MAX));
    }
    let Some(compiled) = validate_expression(errors, path, &ENVIRONMENT, expression, &[]) else { return };
    let found = compiled.expression.output_type();
    if !is_selector(found) {
        let detail = format!("must evaluate to bool or the unknown type, not {}", found.describe());
        errors.push(Error::invalid(path, expression, detail));
    } else if compiled.expression.estimate().max > SELECTOR_COST_MAX {
        errors.push(Error::forbidden(path, "too complex, exceeds cost limit"));
    }
}

fn validate_toleration(found: &mut Complaints, toleration: &Value, path: &Path<'_>) {
    let [key, operator, value, effect] = ["key", "operator", "value", "effect"].map(|field| text(toleration, field));
    let value_path = path.child("value");
    match operator {
        "Exists" if !value.is_empty() => {
            found.coded.push(Error::invalid(&value_path, value, "must be empty for operator `Exists`"));
        }
        "Equal" => complain(&mut found.coded, &value_path, value, names::label_value(value)),
        _ => {}
    }
    let errors = &mut found.declared;
    if !key.is_empty() {
        label_name(errors, &path.child("key"), key);
    }
    supported(errors, &path.child("operator"), operator, &["Equal", "Exists"]);
    if !effect.is_empty() {
        supported(errors, &path.child("effect"), effect, &["NoExecute", "NoSchedule", "None"]);
    }
}
