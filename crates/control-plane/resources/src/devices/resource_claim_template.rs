//! ResourceClaimTemplate: a ResourceClaim to be made for each pod.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::child;

use super::defaults::set_claim_spec_defaults;
use crate::columns;
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

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), columns::age(object, now)]
    }
}
