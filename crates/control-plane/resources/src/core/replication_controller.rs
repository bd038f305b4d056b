//! ReplicationController: keeps a number of equal pods; ReplicaSet has taken its place.

use jiff::Timestamp;
use serde_json::{Map, Value};
use windlass_machinery::tree::{child, put, set};

use super::pod_spec::set_template_defaults;
use crate::columns::{self, count};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "ReplicationController", "replicationcontrollers")
        .short_names(&["rc"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .counts_generations()
        .selectable_or("status.replicas", "/status/replicas", "0")
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
        .strategy(ReplicationController)
}

struct ReplicationController;

impl Strategy for ReplicationController {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set(spec, "replicas", 1);
        if spec.get("template").is_some_and(Value::is_object) {
            set_template_defaults(child(spec, "template"));
        }
        // The labels of the pods are the controller's and its selector, if it says nothing else.
        let is_empty = |map: Option<&Value>| map.and_then(Value::as_object).is_none_or(Map::is_empty);
        let Some(labels) = object.pointer("/spec/template/metadata/labels").cloned() else { return };
        if is_empty(object.pointer("/spec/selector")) {
            put(child(object, "spec"), "selector", labels.clone());
        }
        if is_empty(object.pointer("/metadata/labels")) {
            put(child(object, "metadata"), "labels", labels);
        }
    }

    fn orphans_by_default(&self) -> bool {
        true
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
            columns::labels(object.pointer("/spec/selector")),
        ]
    }
}
