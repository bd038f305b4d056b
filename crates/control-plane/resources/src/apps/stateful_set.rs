//! StatefulSet: replicas with names and volumes of their own.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_machinery::tree::{child, items_mut, put, set, set_text, text};

use crate::columns::{self, count};
use crate::core::pod_spec::{set_claim_spec_defaults, set_template_defaults};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "StatefulSet", "statefulsets")
        .short_names(&["sts"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .counts_generations()
        .columns(columns::list(&["Name", "Ready", "Age", "+Containers", "+Images"]))
        .strategy(StatefulSet)
}

struct StatefulSet;

impl Strategy for StatefulSet {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set_text(spec, "podManagementPolicy", "OrderedReady");
        let strategy = child(spec, "updateStrategy");
        if text(strategy, "type").is_empty() {
            put(strategy, "type", "RollingUpdate");
            set(strategy, "rollingUpdate", json!({}));
        }
        let is_rolling = text(strategy, "type") == "RollingUpdate";
        if let Some(rolling) = strategy.get_mut("rollingUpdate").filter(|r| is_rolling && r.is_object()) {
            set(rolling, "partition", 0);
            set(rolling, "maxUnavailable", 1);
        }
        let retention = child(spec, "persistentVolumeClaimRetentionPolicy");
        set_text(retention, "whenDeleted", "Retain");
        set_text(retention, "whenScaled", "Retain");
        set(spec, "replicas", 1);
        set(spec, "revisionHistoryLimit", 10);
        set_template_defaults(child(spec, "template"));
        for claim in items_mut(spec, "volumeClaimTemplates") {
            put(claim, "kind", "PersistentVolumeClaim");
            put(claim, "apiVersion", "v1");
            set_claim_spec_defaults(child(claim, "spec"));
            set_text(child(claim, "status"), "phase", "Pending");
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ready = format!("{}/{}", count(object, "/status/readyReplicas"), count(object, "/spec/replicas"));
        let [names, images] = columns::containers(object.pointer("/spec/template/spec"));
        vec![columns::name(object), Value::from(ready), columns::age(object, now), names, images]
    }
}
