//! ValidatingAdmissionPolicy: rules for writes, as expressions.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{child, set};

use super::defaults::{param_kind_cell, set_match_defaults};
use crate::columns::{self, length};
use crate::{Resource, StatusMetadata, Strategy, Subresource};

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

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(object),
            Value::from(length(object, "/spec/validations")),
            param_kind_cell(object),
            columns::age(object, now),
        ]
    }
}
