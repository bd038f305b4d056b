//! ReplicaSet: a number of replicas of one pod.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{child, set};

use crate::columns::{self, count};
use crate::core::pod_spec::set_template_defaults;
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "ReplicaSet", "replicasets")
        .short_names(&["rs"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .counts_generations()
        .selectable(&[("status.replicas", "/status/replicas")])
        .columns(columns::list(&[
            "Name",
            "Desired:integer",
            "Current:integer",
            "Ready:integer",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ]))
        .strategy(ReplicaSet)
}

struct ReplicaSet;

impl Strategy for ReplicaSet {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set(spec, "replicas", 1);
        set_template_defaults(child(spec, "template"));
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let [names, images] = columns::containers(object.pointer("/spec/template/spec"));
        vec![
            columns::name(object),
            Value::from(count(object, "/spec/replicas")),
            Value::from(count(object, "/status/replicas")),
            Value::from(count(object, "/status/readyReplicas")),
            columns::age(object, now),
            names,
            images,
            columns::selector(object.pointer("/spec/selector")),
        ]
    }
}
