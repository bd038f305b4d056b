//! What is wrong with the rules by which webhooks and policies say what they are about.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};

use crate::rules::{at, supported, texts};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// A rule's operations on resources. Entries of a policy may add names to it, which are looked at elsewhere.
pub(super) fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let lists = [("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")];
    for (field, what) in lists {
        let path = path.child(field);
        let count = texts(rule, field).count();
        if count == 0 {
            errors.push(Error::required(&path, ""));
        }
        if count > 1 && texts(rule, field).any(|text| text == "*") {
            let shown = rule.get(field).cloned().unwrap_or_default();
            errors.push(Error::invalid(&path, shown, format!("if '*' is present, must not specify other {what}")));
        }
        for (index, value) in texts(rule, field).enumerate() {
            match field {
                "operations" => supported(errors, &path.index(index), value, &OPERATIONS),
                "apiVersions" if value.is_empty() => errors.push(Error::required(&path.index(index), "")),
                _ => {}
            }
        }
    }
    validate_resources(errors, rule, &path.child("resources"));
    if let Some(scope) = at(rule, "scope").and_then(Value::as_str) {
        supported(errors, &path.child("scope"), scope, &["*", "Cluster", "Namespaced"]);
    }
}

fn validate_resources(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let count = texts(rule, "resources").count();
    if count == 0 {
        errors.push(Error::required(path, ""));
    }
    let (mut all_below, mut below_all) = (BTreeSet::new(), BTreeSet::new());
    // The last one counts.
    let mut has_plain = false;
    for (index, both) in texts(rule, "resources").enumerate() {
        if both.is_empty() {
            errors.push(Error::required(&path.index(index), ""));
            continue;
        }
        let Some((resource, subresource)) = both.split_once('/') else {
            has_plain = both != "*";
            continue;
        };
        if all_below.contains(resource) {
            let detail = format!("if '{resource}/*' is present, must not specify {both}");
            errors.push(Error::invalid(&path.index(index), both, detail));
        }
        if below_all.contains(subresource) {
            let detail = format!("if '*/{subresource}' is present, must not specify {both}");
            errors.push(Error::invalid(&path.index(index), both, detail));
        }
        if subresource == "*" {
            all_below.insert(resource);
        }
        if resource == "*" {
            below_all.insert(subresource);
        }
    }
    let shown = || rule.get("resources").cloned().unwrap_or_default();
    if count > 1 && texts(rule, "resources").any(|text| text == "*/*") {
        errors.push(Error::invalid(path, shown(), "if '*/*' is present, must not specify other resources"));
    }
    if has_plain && texts(rule, "resources").any(|text| text == "*") {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(Error::invalid(path, shown(), detail));
    }
}
