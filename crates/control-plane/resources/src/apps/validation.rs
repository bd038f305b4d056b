//! What the workload kinds have in common: selectors that match their template, numbers or percentages, counters of a status.
//!
//! Source: upstream `pkg/apis/apps/validation/validation.go`.

use serde_json::{Map, Value};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::k8s::apimachinery::pkg::apis::meta::v1::LabelSelector;
use windlass_api::labels::Selector;
use windlass_api::names;
use windlass_machinery::tree::{number, text};

use crate::pod_spec::validation::validate_template;
use crate::rules::{at, complain, is_empty_selector, label_selector, non_negative, object_at};

/// The selector of a workload in its two roles: as a structure that is valid, and as what has to match the template.
pub(crate) fn validate_selector(errors: &mut Errors, spec: &Value, path: &Path<'_>, kind: &str) {
    let field = path.child("selector");
    let selector = object_at(spec, "selector");
    label_selector(errors, &field, selector);
    if is_empty_selector(selector) {
        let detail = format!("empty selector is invalid for {kind}");
        errors.push(Error::invalid(&field, shown_selector(selector), detail));
    }
}

/// A selector as upstream's messages show it: every field, though it be empty.
pub(crate) fn shown_selector(selector: Option<&Value>) -> Value {
    selector.cloned().unwrap_or_default()
}

/// `None` when the structure is no selector; an absent one selects nothing.
pub(crate) fn parse_selector(selector: Option<&Value>) -> Option<Selector> {
    let mut problems = Errors::new();
    label_selector(&mut problems, &Path::new(""), selector);
    if !problems.is_empty() {
        return None;
    }
    let structure: Option<LabelSelector> = match selector {
        None => None,
        Some(selector) => Some(serde_json::from_value(selector.clone()).ok()?),
    };
    Selector::from_structure(structure.as_ref()).ok()
}

/// Whether a selector selects the pods of the template.
pub(crate) fn matches_template(selector: &Selector, template: &Value) -> bool {
    let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
    let labels: std::collections::BTreeMap<String, String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    selector.matches(&labels)
}

/// The template of a workload whose selector is given by `selector`.
pub(crate) fn validate_matching_template(errors: &mut Errors, spec: &Value, path: &Path<'_>, kind: &str) {
    let template_path = path.child("template");
    let empty = Value::Object(Map::new());
    let template = spec.get("template").unwrap_or(&empty);
    if let Some(selector) = parse_selector(object_at(spec, "selector"))
        && !selector.is_everything()
        && !matches_template(&selector, template)
    {
        complain_of_labels(errors, template, &template_path);
    }
    validate_template(errors, template, &template_path);
    validate_endless(errors, template, &template_path, kind);
}

pub(crate) fn complain_of_labels(errors: &mut Errors, template: &Value, path: &Path<'_>) {
    let labels = template.pointer("/metadata/labels").cloned().unwrap_or_default();
    let metadata = path.child("metadata");
    errors.push(Error::invalid(&metadata.child("labels"), labels, "`selector` does not match template `labels`"));
}

/// The pods of most workloads do not end by themselves.
pub(crate) fn validate_endless(errors: &mut Errors, template: &Value, path: &Path<'_>, kind: &str) {
    let spec_path = path.child("spec");
    let spec = template.get("spec").unwrap_or(&Value::Null);
    let policy = text(spec, "restartPolicy");
    if policy != "Always" {
        errors.push(Error::not_supported(&spec_path.child("restartPolicy"), policy, &["Always"]));
    }
    if at(spec, "activeDeadlineSeconds").is_some() {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(Error::forbidden(&spec_path.child("activeDeadlineSeconds"), detail));
    }
}

/// A number that is not negative, or a percentage.
pub(crate) fn validate_int_or_percent(errors: &mut Errors, path: &Path<'_>, value: &Value) {
    match value {
        Value::String(text) => {
            for detail in names::percent(text) {
                errors.push(Error::invalid(path, value.clone(), detail));
            }
        }
        value => non_negative(errors, path, value.as_i64().unwrap_or(0)),
    }
}

pub(crate) fn validate_at_most_all(errors: &mut Errors, path: &Path<'_>, value: &Value) {
    let percent = value.as_str().filter(|text| names::percent(text).is_empty());
    if percent.is_some_and(|_| int_or_percent(value) > 100) {
        errors.push(Error::invalid(path, value.clone(), "must not be greater than 100%"));
    }
}

/// The number itself, or that before the percent sign.
pub(crate) fn int_or_percent(value: &Value) -> i64 {
    match value {
        Value::String(text) => text.strip_suffix('%').unwrap_or(text).parse().unwrap_or(0),
        value => value.as_i64().unwrap_or(0),
    }
}

/// Counters of a status that must not be negative, whether they are there or not.
pub(crate) fn validate_counters(errors: &mut Errors, status: &Value, path: &Path<'_>, fields: &[&str]) {
    for field in fields {
        non_negative(errors, &path.child(field), number(status, field));
    }
}

/// Counters that cannot be greater than another one.
pub(crate) fn validate_at_most(
    errors: &mut Errors,
    status: &Value,
    path: &Path<'_>,
    fields: &[&str],
    whole: (&str, &str),
) {
    for field in fields {
        let value = number(status, field);
        if value > number(status, whole.0) {
            errors.push(Error::invalid(&path.child(field), value, format!("cannot be greater than {}", whole.1)));
        }
    }
}

/// A count of collisions only grows.
pub(crate) fn validate_collisions(errors: &mut Errors, object: &Value, old: &Value) {
    let count = |object: &Value| object.pointer("/status/collisionCount").and_then(Value::as_i64);
    if let Some(before) = count(old)
        && count(object).is_none_or(|now| now < before)
    {
        let status = Path::new("status");
        let now = count(object).unwrap_or(0);
        errors.push(Error::invalid(&status.child("collisionCount"), now, "cannot be decremented"));
    }
}

/// The warning for a new object whose name pods cannot take over as it is.
pub(crate) fn name_warning(object: &Value, old: Option<&Value>) -> Option<String> {
    if old.is_some() {
        return None;
    }
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let mut problems = Errors::new();
    complain(&mut problems, &Path::new(""), name, names::dns1123_label(name));
    let problems: Vec<String> = problems.into_iter().map(|problem| problem.detail).collect();
    (!problems.is_empty()).then(|| {
        format!(
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            problems.join(" ")
        )
    })
}
