//! What decides where and when a pod is scheduled, apart from affinity: node selectors, tolerations, gates, spread.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, number, text};

use crate::rules::{at, complain, label_name, label_selector, map_at, object_at, supported, texts};

const NOT_AN_OPERATOR: &str = "not a valid selector operator";

/// The terms of a node selector, of which one has to match.
pub(crate) fn validate_node_selector(errors: &mut Errors, selector: &Value, path: &Path<'_>, checks_values: bool) {
    let terms = path.child("nodeSelectorTerms");
    if items(selector, "nodeSelectorTerms").next().is_none() {
        errors.push(Error::required(&terms, "must have at least one node selector term"));
    }
    for (index, term) in items(selector, "nodeSelectorTerms").enumerate() {
        validate_node_selector_term(errors, term, &terms.index(index), checks_values);
    }
}

pub(super) fn validate_node_selector_term(errors: &mut Errors, term: &Value, path: &Path<'_>, checks_values: bool) {
    let expressions = path.child("matchExpressions");
    for (index, requirement) in items(term, "matchExpressions").enumerate() {
        validate_requirement(errors, requirement, &expressions.index(index), checks_values);
    }
    let fields = path.child("matchFields");
    for (index, requirement) in items(term, "matchFields").enumerate() {
        validate_field_requirement(errors, requirement, &fields.index(index));
    }
}

fn validate_requirement(errors: &mut Errors, requirement: &Value, path: &Path<'_>, checks_values: bool) {
    let count = items(requirement, "values").count();
    let values = path.child("values");
    match text(requirement, "operator") {
        "In" | "NotIn" if count == 0 => {
            errors.push(Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&values, detail));
        }
        "Gt" | "Lt" if count != 1 => {
            errors.push(Error::required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.push(Error::invalid(&path.child("operator"), other, NOT_AN_OPERATOR)),
    }
    label_name(errors, &path.child("key"), text(requirement, "key"));
    if checks_values {
        for (index, value) in texts(requirement, "values").enumerate() {
            complain(errors, &values.index(index), value, names::label_value(value));
        }
    }
}

fn validate_field_requirement(errors: &mut Errors, requirement: &Value, path: &Path<'_>) {
    let values = path.child("values");
    match text(requirement, "operator") {
        "In" | "NotIn" => {
            if items(requirement, "values").count() != 1 {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(Error::required(&values, detail));
            }
        }
        other => errors.push(Error::invalid(&path.child("operator"), other, NOT_AN_OPERATOR)),
    }
    match text(requirement, "key") {
        "metadata.name" => {
            for (index, value) in texts(requirement, "values").enumerate() {
                complain(errors, &values.index(index), value, names::dns1123_subdomain(value));
            }
        }
        other => errors.push(Error::invalid(&path.child("key"), other, "not a valid field selector key")),
    }
}

/// `owner.tolerations`
pub(crate) fn validate_tolerations(errors: &mut Errors, owner: &Value, path: &Path<'_>) {
    for (index, toleration) in items(owner, "tolerations").enumerate() {
        let path = path.index(index);
        let operator_path = path.child("operator");
        let (key, operator, value) = (text(toleration, "key"), text(toleration, "operator"), text(toleration, "value"));
        let effect = text(toleration, "effect");
        if !key.is_empty() {
            label_name(errors, &path.child("key"), key);
        }
        if key.is_empty() && operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(Error::invalid(&operator_path, operator, detail));
        }
        if at(toleration, "tolerationSeconds").is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(Error::invalid(&path.child("effect"), effect, detail));
        }
        match operator {
            "Equal" | "" => {
                let problems = names::label_value(value);
                if !problems.is_empty() {
                    errors.push(Error::invalid(&operator_path, value, problems.join(";")));
                }
            }
            "Exists" if value.is_empty() => {}
            "Exists" => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(Error::invalid(&operator_path, value, detail));
            }
            "Lt" | "Gt" => {
                errors.push(Error::not_supported(&operator_path, operator, &["Equal", "Exists", "Lt", "Gt"]));
            }
            other => errors.push(Error::not_supported(&operator_path, other, &["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            supported(errors, &path.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

/// Gates of readiness and of scheduling.
pub(super) fn validate_gates(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let readiness = path.child("readinessGates");
    for (index, gate) in items(spec, "readinessGates").enumerate() {
        let kind = text(gate, "conditionType");
        complain(errors, &readiness.index(index).child("conditionType"), kind, names::qualified_name(kind));
    }
    let scheduling = path.child("schedulingGates");
    let mut seen = BTreeSet::new();
    for (index, gate) in items(spec, "schedulingGates").enumerate() {
        let (path, name) = (scheduling.index(index), text(gate, "name"));
        complain(errors, &path, name, names::qualified_name(name));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path, name));
        }
    }
}

pub(super) fn validate_spread(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let same = |constraint: &'_ Value| {
        (text(constraint, "topologyKey").to_owned(), text(constraint, "whenUnsatisfiable").to_owned())
    };
    let mut to_come: HashMap<(String, String), usize> = HashMap::new();
    for constraint in items(spec, "topologySpreadConstraints") {
        *to_come.entry(same(constraint)).or_default() += 1;
    }
    for (index, constraint) in items(spec, "topologySpreadConstraints").enumerate() {
        let path = path.index(index);
        positive(errors, &path.child("maxSkew"), number(constraint, "maxSkew"));
        let (key, action) = (text(constraint, "topologyKey"), text(constraint, "whenUnsatisfiable"));
        if key.is_empty() {
            errors.push(Error::required(&path.child("topologyKey"), "can not be empty"));
        }
        supported(errors, &path.child("whenUnsatisfiable"), action, &["DoNotSchedule", "ScheduleAnyway"]);
        let later = to_come.entry(same(constraint)).or_default();
        *later -= 1;
        if *later > 0 {
            let field = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&field, format!("{{{key}, {action}}}")));
        }
        if let Some(domains) = constraint.get("minDomains").and_then(Value::as_i64) {
            let path = path.child("minDomains");
            positive(errors, &path, domains);
            if action != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(Error::invalid(&path, domains, detail));
            }
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if let Some(policy) = at(constraint, field).and_then(Value::as_str) {
                supported(errors, &path.child(field), policy, &["Honor", "Ignore"]);
            }
        }
        validate_label_keys(errors, constraint, &path);
        label_selector(errors, &path.child("labelSelector"), constraint.get("labelSelector"));
    }
}

fn positive(errors: &mut Errors, path: &Path<'_>, value: i64) {
    if value <= 0 {
        errors.push(Error::invalid(path, value, "must be greater than zero"));
    }
}

/// Keys whose values a pod's own labels give.
pub(super) fn validate_label_keys(errors: &mut Errors, term: &Value, path: &Path<'_>) {
    let selector = object_at(term, "labelSelector");
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let path = path.child(field);
        if selector.is_none() && items(term, field).next().is_some() {
            errors.push(Error::forbidden(&path, "must not be specified when labelSelector is not set"));
            continue;
        }
        for (index, key) in texts(term, field).enumerate() {
            label_name(errors, &path.index(index), key);
        }
    }
    let keys: BTreeMap<&str, usize> = texts(term, "matchLabelKeys").enumerate().map(|(at, key)| (key, at)).collect();
    if let Some(selector) = selector {
        let mut selected: BTreeSet<&str> =
            map_at(selector, "matchLabels").into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        for requirement in items(selector, "matchExpressions") {
            let key = text(requirement, "key");
            if let Some(index) = keys.get(key).filter(|_| selected.contains(key)) {
                let detail = "exists in both matchLabelKeys and labelSelector";
                errors.push(Error::invalid(&path.index(*index), key, detail));
            }
            selected.insert(key);
        }
    }
    let mismatch: BTreeSet<&str> = texts(term, "mismatchLabelKeys").collect();
    let match_path = path.child("matchLabelKeys");
    for (index, key) in texts(term, "matchLabelKeys").enumerate().filter(|(_, key)| mismatch.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(Error::invalid(&match_path.index(index), key, detail));
    }
}
