//! What is wrong with the match resources of policies and bindings.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use super::rule_validation::validate_rule;
use crate::rules::{at, complain, label_selector, supported, texts};

pub(super) fn validate_match_resources(errors: &mut Errors, resources: &Value, path: &Path<'_>) {
    match at(resources, "matchPolicy") {
        None => errors.push(Error::required(&path.child("matchPolicy"), "")),
        Some(_) => {
            let policy = text(resources, "matchPolicy");
            supported(errors, &path.child("matchPolicy"), policy, &["Equivalent", "Exact"]);
        }
    }
    for field in ["namespaceSelector", "objectSelector"] {
        match at(resources, field) {
            None => errors.push(Error::required(&path.child(field), "")),
            selector => label_selector(errors, &path.child(field), selector),
        }
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        let path = path.child(list);
        for (index, rule) in items(resources, list).enumerate() {
            validate_named_rule(errors, rule, &path.index(index));
        }
    }
}

fn validate_named_rule(errors: &mut Errors, rule: &Value, path: &Path<'_>) {
    let names_path = path.child("resourceNames");
    let mut seen = BTreeSet::new();
    for (index, name) in texts(rule, "resourceNames").enumerate() {
        let path = names_path.index(index);
        complain(errors, &path, name, names::path_segment(name));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&path, name));
        }
    }
    validate_rule(errors, rule, path);
}

/// Whether the operations are some that can be changed: nobody changes a deletion.
pub(super) fn validate_mutable_operations(errors: &mut Errors, resources: &Value, path: &Path<'_>) {
    let rules_path = path.child("resourceRules");
    let path = rules_path.child("operations");
    for operation in items(resources, "resourceRules").flat_map(|rule| texts(rule, "operations")) {
        supported(errors, &path, operation, &["*", "CONNECT", "CREATE", "UPDATE"]);
    }
}
