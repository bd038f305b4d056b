//! ValidatingAdmissionPolicyBinding: where a ValidatingAdmissionPolicy applies.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};

use super::defaults::{param_ref_cell, set_match_defaults};
use super::param_reads::reads_of_binding;
use super::policy_validation::validate_binding;
use super::static_suffix::{static_suffix_warning, validate_static_suffix};
use crate::columns::{self, word};
use crate::rules::{supported, texts};
use crate::{Reads, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    )
    .takes_any_finalizer()
    .categories(&["api-extensions"])
    .counts_generations()
    .columns(columns::list(&["Name", "PolicyName", "ParamRef", "Age"]))
    .updates_need_version()
    .strategy(ValidatingAdmissionPolicyBinding)
}

struct ValidatingAdmissionPolicyBinding;

impl Strategy for ValidatingAdmissionPolicyBinding {
    fn set_defaults(&self, object: &mut Value) {
        set_match_defaults(object.pointer_mut("/spec/matchResources"));
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = self.validate_update(object, &Value::Null);
        validate_static_suffix(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_binding(&mut errors, &object["spec"], &Path::new("spec"), false);
        validate_actions(&mut errors, &object["spec"]);
        errors
    }

    fn reads<'a>(&self, object: &'a Value, _old: Option<&Value>) -> Option<Reads<'a>> {
        reads_of_binding(object, "validatingadmissionpolicies.admissionregistration.k8s.io")
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        old.and_then(|_| static_suffix_warning(object)).into_iter().collect()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/policyName")),
            param_ref_cell(object),
            columns::age(object, now),
        ]
    }
}

/// What is done about a write that fails a validation.
fn validate_actions(errors: &mut Errors, spec: &Value) {
    let spec_path = Path::new("spec");
    let path = spec_path.child("validationActions");
    let mut seen = BTreeSet::new();
    for (index, action) in texts(spec, "validationActions").enumerate() {
        supported(errors, &path.index(index), action, &["Audit", "Deny", "Warn"]);
        if !seen.insert(action) {
            errors.push(Error::duplicate(&path.index(index), action));
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(Error::invalid(&path, spec["validationActions"].clone(), detail));
    }
    if seen.is_empty() {
        // Upstream has no words for a list that is not there at all.
        let detail =
            if spec["validationActions"].is_array() { "at least one validation action is required" } else { "" };
        errors.push(Error::required(&path, detail));
    }
}
