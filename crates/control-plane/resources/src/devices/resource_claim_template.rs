//! ResourceClaimTemplate: a ResourceClaim to be made for each pod.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::child;

use super::claim_validation::validate_claim;
use super::complaints::Complaints;
use super::defaults::set_claim_spec_defaults;
use crate::columns;
use crate::pod_spec::validation::validate_template_metadata;
use crate::rules::immutable_structure;
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates")
        .columns(columns::list(&["Name", "Age"]))
        .strategy(ResourceClaimTemplate)
}

struct ResourceClaimTemplate;

impl Strategy for ResourceClaimTemplate {
    fn set_defaults(&self, object: &mut Value) {
        set_claim_spec_defaults(child(child(object, "spec"), "spec"));
    }

    fn validate(&self, object: &Value) -> Errors {
        validate(object, false)
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = validate(object, true);
        let [new, old] = [object, old].map(|template| template.get("spec"));
        immutable_structure(&mut errors, &Path::new("spec"), "resource.v1.ResourceClaimTemplateSpec", new, old);
        errors
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), columns::age(object, now)]
    }
}

fn validate(object: &Value, selectors_are_stored: bool) -> Errors {
    let (mut found, path) = (Complaints { selectors_are_stored, ..Complaints::default() }, Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&Value::Null);
    validate_template_metadata(&mut found.coded, spec.get("metadata").unwrap_or(&Value::Null), &path.child("metadata"));
    let devices = spec.pointer("/spec/devices").unwrap_or(&Value::Null);
    validate_claim(&mut found, devices, &path.child("spec").child("devices"));
    found.all()
}
