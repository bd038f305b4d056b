//! MutatingAdmissionPolicyBinding: where a MutatingAdmissionPolicy applies.

use jiff::Timestamp;
use serde_json::Value;

use super::defaults::{param_ref_cell, set_match_defaults};
use crate::columns::{self, word};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    )
    .takes_any_finalizer()
    .categories(&["api-extensions"])
    .counts_generations()
    .columns(columns::list(&["Name", "PolicyName", "ParamRef", "Age"]))
    .updates_need_version()
    .strategy(MutatingAdmissionPolicyBinding)
}

struct MutatingAdmissionPolicyBinding;

impl Strategy for MutatingAdmissionPolicyBinding {
    fn set_defaults(&self, object: &mut Value) {
        set_match_defaults(object.pointer_mut("/spec/matchResources"));
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
