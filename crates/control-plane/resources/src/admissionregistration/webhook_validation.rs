//! What is wrong with the configuration of webhooks. Whether expressions of CEL compile is not looked at here.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use crate::rules::{at, complain, label_selector, required, supported, texts};
use crate::webhook_client;

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const HARMLESS: [&str; 2] = ["None", "NoneOnDryRun"];
const EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const MOST_CONDITIONS: usize = 64;

/// What is asked of every webhook; an update may keep what was allowed once.
#[derive(Clone, Copy)]
pub(super) struct Demands {
    unique_names: bool,
    known_versions: bool,
    no_side_effects: bool,
}

impl Demands {
    pub(super) const ALL: Self = Self { unique_names: true, known_versions: true, no_side_effects: true };

    /// What the old configuration fulfils.
    pub(super) fn after(old: &Value) -> Self {
        let hooks = || items(old, "webhooks");
        let names: BTreeSet<&str> = hooks().map(|hook| text(hook, "name")).collect();
        let is_known = |hook: &Value| texts(hook, "admissionReviewVersions").any(|v| REVIEW_VERSIONS.contains(&v));
        Self {
            unique_names: names.len() == hooks().count(),
            known_versions: hooks().all(is_known),
            no_side_effects: hooks().all(|hook| HARMLESS.contains(&text(hook, "sideEffects"))),
        }
    }
}

pub(super) fn validate_webhooks(errors: &mut Errors, object: &Value, demands: Demands) {
    let path = Path::new("webhooks");
    let mut seen = BTreeSet::new();
    for (index, hook) in items(object, "webhooks").enumerate() {
        let path = path.index(index);
        validate_webhook(errors, hook, &path, demands);
        validate_versions(errors, hook, &path.child("admissionReviewVersions"), demands);
        let name = text(hook, "name");
        if demands.unique_names && !name.is_empty() && !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
    }
}

fn validate_webhook(errors: &mut Errors, hook: &Value, path: &Path<'_>, demands: Demands) {
    validate_name(errors, hook, path);
    let rules = path.child("rules");
    for (index, rule) in items(hook, "rules").enumerate() {
        validate_rule(errors, rule, &rules.index(index));
    }
    for (field, allowed) in [("failurePolicy", ["Fail", "Ignore"]), ("matchPolicy", ["Equivalent", "Exact"])] {
        if let Some(policy) = at(hook, field).and_then(Value::as_str) {
            supported(errors, &path.child(field), policy, &allowed);
        }
    }
    let allowed: &[&str] = if demands.no_side_effects { &HARMLESS } else { &EFFECTS };
    match at(hook, "sideEffects").and_then(Value::as_str) {
        None => {
            let detail = format!("must specify one of {}", allowed.join(", "));
            errors.push(Error::required(&path.child("sideEffects"), detail));
        }
        Some(effects) => supported(errors, &path.child("sideEffects"), effects, allowed),
    }
    if let Some(seconds) = at(hook, "timeoutSeconds").and_then(Value::as_i64)
        && !(1..=30).contains(&seconds)
    {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(Error::invalid(&path.child("timeoutSeconds"), seconds, detail));
    }
    for field in ["namespaceSelector", "objectSelector"] {
        label_selector(errors, &path.child(field), hook.get(field));
    }
    // Only webhooks that change objects have it.
    if let Some(policy) = at(hook, "reinvocationPolicy").and_then(Value::as_str) {
        supported(errors, &path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
    }
    webhook_client::validate(errors, &hook["clientConfig"], false, &path.child("clientConfig"));
    validate_match_conditions(errors, hook, &path.child("matchConditions"));
}

fn validate_name(errors: &mut Errors, hook: &Value, path: &Path<'_>) {
    if !required(errors, hook, path, "name") {
        return;
    }
    let (name, path) = (text(hook, "name"), path.child("name"));
    let problems = names::dns1123_subdomain(name);
    if !problems.is_empty() {
        complain(errors, &path, name, problems);
    } else if name.split('.').count() < 3 {
        let detail = "should be a domain with at least three segments separated by dots";
        errors.push(Error::invalid(&path, name, detail));
    }
}

fn validate_rule(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
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

fn validate_versions(errors: &mut Errors, hook: &Value, path: &Path<'_>, demands: Demands) {
    let versions = || texts(hook, "admissionReviewVersions");
    let known = REVIEW_VERSIONS.join(", ");
    if versions().next().is_none() {
        errors.push(Error::required(path, format!("must specify one of {known}")));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions().enumerate() {
        let path = path.index(index);
        if seen.insert(version) {
            complain(errors, &path, version, names::dns1035_label(version));
        } else {
            errors.push(Error::invalid(&path, version, "duplicate version"));
        }
    }
    if demands.known_versions && !versions().any(|version| REVIEW_VERSIONS.contains(&version)) {
        let shown = hook.get("admissionReviewVersions").cloned().unwrap_or_default();
        errors.push(Error::invalid(path, shown, format!("must include at least one of {known}")));
    }
}

fn validate_match_conditions(errors: &mut Errors, hook: &Value, path: &Path<'_>) {
    let count = items(hook, "matchConditions").count();
    if count > MOST_CONDITIONS {
        errors.push(Error::too_many(path, count, MOST_CONDITIONS));
    }
    let mut seen = BTreeSet::new();
    for (index, condition) in items(hook, "matchConditions").enumerate() {
        let path = path.index(index);
        if text(condition, "expression").trim().is_empty() {
            errors.push(Error::required(&path.child("expression"), ""));
        }
        if !required(errors, condition, &path, "name") {
            continue;
        }
        let name = text(condition, "name");
        complain(errors, &path.child("name"), name, names::qualified_name(name));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
    }
}
