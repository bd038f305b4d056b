//! What is wrong with the configuration of webhooks.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_cel::Patterns;
use windlass_machinery::tree::{items, text};

use super::match_conditions::{self, Known};
use super::rule_validation::validate_rule;
use crate::rules::{at, complain, label_selector, required, supported, texts};
use crate::webhook_client;
use windlass_cel::admission::Declarations;

const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const HARMLESS: [&str; 2] = ["None", "NoneOnDryRun"];
const EFFECTS: [&str; 4] = ["None", "NoneOnDryRun", "Some", "Unknown"];

/// What is asked of every webhook; an update may keep what was allowed once.
pub(super) struct Demands<'a> {
    unique_names: bool,
    known_versions: bool,
    no_side_effects: bool,
    /// The match conditions that were accepted already; `None` when no webhook's have changed.
    known_conditions: Option<Known<'a>>,
}

impl<'a> Demands<'a> {
    /// Of a new configuration.
    pub(super) fn all() -> Self {
        let known_conditions = Some(Known::default());
        Self { unique_names: true, known_versions: true, no_side_effects: true, known_conditions }
    }

    /// What the old configuration fulfils.
    pub(super) fn of_update(new: &Value, old: &'a Value) -> Self {
        let conditions = |object: &'a Value| items(object, "webhooks").flat_map(|hook| items(hook, "matchConditions"));
        let are_unchanged = items(new, "webhooks").count() == items(old, "webhooks").count()
            && items(new, "webhooks")
                .zip(items(old, "webhooks"))
                .all(|(new, old)| at(new, "matchConditions") == at(old, "matchConditions"));
        let known_conditions =
            (!are_unchanged).then(|| conditions(old).map(|condition| text(condition, "expression")).collect());
        let hooks = || items(old, "webhooks");
        let names: BTreeSet<&str> = hooks().map(|hook| text(hook, "name")).collect();
        let is_known = |hook: &Value| texts(hook, "admissionReviewVersions").any(|v| REVIEW_VERSIONS.contains(&v));
        Self {
            unique_names: names.len() == hooks().count(),
            known_versions: hooks().all(is_known),
            no_side_effects: hooks().all(|hook| HARMLESS.contains(&text(hook, "sideEffects"))),
            known_conditions,
        }
    }
}

pub(super) fn validate_webhooks(errors: &mut Errors, object: &Value, demands: &Demands<'_>) {
    let path = Path::new("webhooks");
    let patterns = Patterns::of_expressions();
    let mut seen = BTreeSet::new();
    for (index, hook) in items(object, "webhooks").enumerate() {
        let path = path.index(index);
        validate_webhook(errors, hook, &path, demands, &patterns);
        validate_versions(errors, hook, &path.child("admissionReviewVersions"), demands);
        let name = text(hook, "name");
        if demands.unique_names && !name.is_empty() && !seen.insert(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
    }
}

fn validate_webhook(
    errors: &mut Errors,
    hook: &Value,
    path: &Path<'_>,
    demands: &Demands<'_>,
    patterns: &Arc<Patterns>,
) {
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
    if let Some(known) = &demands.known_conditions {
        let declarations = Declarations { params: false, authorizer: true };
        match_conditions::validate(errors, hook, &path.child("matchConditions"), declarations, known, patterns);
    }
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

fn validate_versions(errors: &mut Errors, hook: &Value, path: &Path<'_>, demands: &Demands<'_>) {
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
