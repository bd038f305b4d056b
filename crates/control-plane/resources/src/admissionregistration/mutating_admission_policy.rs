//! MutatingAdmissionPolicy: changes to writes, as expressions.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{child, set};

use super::defaults::{param_kind_cell, set_match_defaults};
use crate::columns::{self, length};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies")
        .takes_any_finalizer()
        .categories(&["api-extensions"])
        .counts_generations()
        .columns(columns::list(&["Name", "Mutations:integer", "ParamKind", "Age"]))
        .updates_need_version()
        .strategy(MutatingAdmissionPolicy)
}

struct MutatingAdmissionPolicy;

impl Strategy for MutatingAdmissionPolicy {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set(spec, "failurePolicy", "Fail");
        set_match_defaults(spec.get_mut("matchConstraints"));
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(object),
            Value::from(length(object, "/spec/mutations")),
            param_kind_cell(object),
            columns::age(object, now),
        ]
    }
}
