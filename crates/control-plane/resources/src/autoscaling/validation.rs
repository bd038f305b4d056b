//! What is wrong with a HorizontalPodAutoscaler.
//!
//! Source: upstream `pkg/apis/autoscaling/validation/validation.go`.

use serde_json::Value;
use windlass_api::GroupVersion;
use windlass_api::Quantity;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use crate::pod_spec::validation::resources::validate_container_name;
use crate::rules::{NOT_NEGATIVE, at, complain, non_negative, non_negative_fields, object_at, path_segment, supported};

const LONGEST_PERIOD: i64 = 1800;
const LONGEST_WINDOW: i64 = 3600;
const KINDS: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
/// The fields for the kinds of metrics in the order in which they are judged.
const SOURCES: [&str; 5] = ["object", "external", "pods", "resource", "containerResource"];

pub(super) fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let least = at(spec, "minReplicas").and_then(Value::as_i64);
    let most = number(spec, "maxReplicas");
    if least.is_some_and(|least| most < least) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(Error::invalid(&path.child("maxReplicas"), most, detail));
    }
    let target = spec.get("scaleTargetRef").unwrap_or(&Value::Null);
    let target_path = path.child("scaleTargetRef");
    validate_reference(errors, target, &target_path, true);
    validate_metrics(errors, spec, &path.child("metrics"));
    if let Some(behavior) = object_at(spec, "behavior") {
        let path = path.child("behavior");
        for direction in ["scaleUp", "scaleDown"] {
            if let Some(rules) = object_at(behavior, direction) {
                validate_rules(errors, rules, &path.child(direction));
            }
        }
    }
    if let Some(least) = least {
        non_negative(errors, &path.child("minReplicas"), least);
    }
    let path = path.child("maxReplicas");
    if most == 0 {
        errors.push(Error::required(&path, ""));
    } else if most < 0 {
        errors.push(Error::invalid(&path, most, "must be greater than or equal to 1"));
    }
}

pub(super) fn validate_status(errors: &mut Errors, status: &Value, path: &Path<'_>) {
    let conditions = path.child("conditions");
    for (index, condition) in items(status, "conditions").enumerate() {
        non_negative_fields(errors, condition, &conditions.index(index), &["observedGeneration"]);
    }
    non_negative_fields(errors, status, path, &["currentReplicas", "desiredReplicas"]);
}

/// Another object; what is scaled is of a group, as the core group has nothing of the sort.
fn validate_reference(errors: &mut Errors, reference: &Value, path: &Path<'_>, needs_group: bool) {
    for field in ["kind", "name"] {
        path_segment(errors, reference, path, field);
    }
    let version = text(reference, "apiVersion");
    let parsed = if version.is_empty() { Some(GroupVersion::of("", "")) } else { GroupVersion::parse(version) };
    let detail = match parsed {
        None => format!("unexpected GroupVersion string: {version}"),
        Some(parsed) if needs_group && parsed.group.is_empty() => "apiVersion must specify API group".to_owned(),
        Some(_) => return,
    };
    errors.push(Error::invalid(&path.child("apiVersion"), version, detail));
}

fn validate_metrics(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    for (index, metric) in items(spec, "metrics").enumerate() {
        validate_metric(errors, metric, &path.index(index));
    }
    let is_of_outside = |metric: &Value| matches!(text(metric, "type"), "Object" | "External");
    if at(spec, "minReplicas").and_then(Value::as_i64) == Some(0) && !items(spec, "metrics").any(is_of_outside) {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(Error::forbidden(path, detail));
    }
}

fn validate_metric(errors: &mut Errors, metric: &Value, path: &Path<'_>) {
    let kind = text(metric, "type");
    if kind.is_empty() {
        errors.push(Error::required(&path.child("type"), "must specify a metric source type"));
    }
    supported(errors, &path.child("type"), kind, &KINDS);
    let present: Vec<&str> = SOURCES.into_iter().filter(|field| object_at(metric, field).is_some()).collect();
    if let Some(first) = present.first() {
        validate_source(errors, first, &metric[first], &path.child(first));
    }
    let expected = SOURCES.into_iter().find(|field| field.eq_ignore_ascii_case(kind) && KINDS.contains(&kind));
    match expected {
        Some(expected) if !present.contains(&expected) => {
            let detail = "must populate information for the given metric source";
            errors.push(Error::required(&path.child(expected), detail));
        }
        Some(_) => {}
        None => supported(errors, &path.child("type"), kind, &KINDS),
    }
    if present.len() != 1 {
        for field in present.into_iter().filter(|field| Some(*field) != expected) {
            errors.push(Error::forbidden(&path.child(field), "must populate the given metric source only"));
        }
    }
}

fn validate_source(errors: &mut Errors, kind: &str, source: &Value, path: &Path<'_>) {
    let null = Value::Null;
    let target = source.get("target").unwrap_or(&null);
    let target_path = path.child("target");
    let has = |field: &str| at(target, field).is_some();
    if kind == "object" {
        let path = path.child("describedObject");
        let object = source.get("describedObject").unwrap_or(&null);
        validate_reference(errors, object, &path, false);
    }
    if matches!(kind, "object" | "external" | "pods") {
        let path = path.child("metric");
        match source.get("metric").map_or("", |metric| text(metric, "name")) {
            "" => errors.push(Error::required(&path.child("name"), "must specify a metric name")),
            name => complain(errors, &path.child("name"), name, names::path_segment(name)),
        }
    } else {
        match text(source, "name") {
            "" => errors.push(Error::required(&path.child("name"), "must specify a resource name")),
            name if kind == "containerResource" => validate_container_name(errors, &path.child("name"), name),
            _ => {}
        }
    }
    if kind == "containerResource" {
        match text(source, "container") {
            "" => errors.push(Error::required(&path.child("container"), "must specify a container")),
            name => complain(errors, &path.child("container"), name, names::dns1123_label(name)),
        }
    }
    validate_target(errors, target, &target_path);
    let average = target_path.child("averageValue");
    match kind {
        "object" if !has("value") && !has("averageValue") => {
            errors.push(Error::required(&average, "must set either a target value or averageValue"));
        }
        "external" if !has("value") && !has("averageValue") => {
            let detail = "must set either a target value for metric or a per-pod target";
            errors.push(Error::required(&average, detail));
        }
        "external" if has("value") && has("averageValue") => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(Error::forbidden(&target_path.child("value"), detail));
        }
        "pods" if !has("averageValue") => {
            errors.push(Error::required(&average, "must specify a positive target averageValue"));
        }
        "resource" | "containerResource" => match (has("averageUtilization"), has("averageValue")) {
            (false, false) => {
                let detail = "must set either a target raw value or a target utilization";
                errors.push(Error::required(&target_path.child("averageUtilization"), detail));
            }
            (true, true) => {
                let detail = "may not set both a target raw value and a target utilization";
                errors.push(Error::forbidden(&average, detail));
            }
            _ => {}
        },
        _ => {}
    }
}

fn validate_target(errors: &mut Errors, target: &Value, path: &Path<'_>) {
    let kind = text(target, "type");
    if kind.is_empty() {
        errors.push(Error::required(&path.child("type"), "must specify a metric target type"));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(Error::invalid(&path.child("type"), kind, detail));
    }
    for field in ["value", "averageValue"] {
        let Some(quantity) = at(target, field).and_then(Value::as_str) else { continue };
        let is_positive = quantity.parse::<Quantity>().is_ok_and(|q| !q.is_negative() && !q.is_zero());
        if !is_positive {
            errors.push(Error::invalid(&path.child(field), quantity, "must be positive"));
        }
    }
    if let Some(percent) = at(target, "averageUtilization").and_then(Value::as_i64).filter(|percent| *percent < 1) {
        errors.push(Error::invalid(&path.child("averageUtilization"), percent, "must be greater than 0"));
    }
}

fn validate_rules(errors: &mut Errors, rules: &Value, path: &Path<'_>) {
    let window_path = path.child("stabilizationWindowSeconds");
    let window = number(rules, "stabilizationWindowSeconds");
    if window < 0 {
        errors.push(Error::invalid(&window_path, window, "must be greater than or equal to zero"));
    }
    if window > LONGEST_WINDOW {
        let detail = format!("must be less than or equal to {LONGEST_WINDOW}");
        errors.push(Error::invalid(&window_path, window, detail));
    }
    if let Some(policy) = at(rules, "selectPolicy").and_then(Value::as_str) {
        supported(errors, &path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let policies = path.child("policies");
    if items(rules, "policies").next().is_none() {
        errors.push(Error::required(&policies, "must specify at least one Policy"));
    }
    for (index, policy) in items(rules, "policies").enumerate() {
        let path = policies.index(index);
        supported(errors, &path.child("type"), text(policy, "type"), &["Percent", "Pods"]);
        for field in ["value", "periodSeconds"] {
            let value = number(policy, field);
            if value <= 0 {
                errors.push(Error::invalid(&path.child(field), value, "must be greater than zero"));
            }
        }
        let period = number(policy, "periodSeconds");
        if period > LONGEST_PERIOD {
            let detail = format!("must be less than or equal to {LONGEST_PERIOD}");
            errors.push(Error::invalid(&path.child("periodSeconds"), period, detail));
        }
    }
    if let Some(tolerance) = at(rules, "tolerance").and_then(Value::as_str)
        && tolerance.starts_with('-')
    {
        errors.push(Error::invalid(&path.child("tolerance"), tolerance, NOT_NEGATIVE));
    }
}
