//! ValidatingAdmissionPolicy: rules for writes, as expressions.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::Errors;
use windlass_machinery::tree::{child, set};

use super::defaults::{param_kind_cell, set_match_defaults};
use super::param_reads::reads_of_policy;
use super::policy_status_validation::validate_status;
use super::static_suffix::{static_suffix_warning, validate_static_suffix};
use super::validating_policy_validation::validate_policy;
use crate::columns::{self, length};
use crate::{Reads, Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
        .takes_any_finalizer()
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .counts_generations()
        .columns(columns::list(&["Name", "Validations:integer", "ParamKind", "Age"]))
        .updates_need_version()
        .strategy(ValidatingAdmissionPolicy)
}

struct ValidatingAdmissionPolicy;

impl Strategy for ValidatingAdmissionPolicy {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set(spec, "failurePolicy", "Fail");
        set_match_defaults(spec.get_mut("matchConstraints"));
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_policy(&mut errors, object, None);
        validate_static_suffix(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_policy(&mut errors, object, Some(old));
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_status(&mut errors, object);
        errors
    }

    fn reads<'a>(&self, object: &'a Value, old: Option<&Value>) -> Option<Reads<'a>> {
        reads_of_policy(object, old)
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        old.and_then(|_| static_suffix_warning(object)).into_iter().collect()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(object),
            Value::from(length(object, "/spec/validations")),
            param_kind_cell(object),
            columns::age(object, now),
        ]
    }
}
