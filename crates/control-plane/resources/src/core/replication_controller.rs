//! ReplicationController: keeps a number of equal pods; ReplicaSet has taken its place.

use jiff::Timestamp;
use serde_json::{Map, Value};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, number, put, set};

use crate::apps::replica_set::validate_replica_status;
use crate::apps::validation::{complain_of_labels, name_warning, validate_endless};
use crate::columns::{self, count};
use crate::pod_spec::set_template_defaults;
use crate::pod_spec::validation::validate_template;
use crate::pod_spec::warnings;
use crate::rules::{map_at, non_negative, object_at};
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

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path, spec) = (Errors::new(), Path::new("spec"), &object["spec"]);
        let selector = map_at(spec, "selector").filter(|selector| !selector.is_empty());
        if selector.is_none() {
            errors.push(Error::required(&path.child("selector"), ""));
        }
        let template_path = path.child("template");
        match object_at(spec, "template") {
            None => errors.push(Error::required(&template_path, "")),
            Some(template) => {
                let labels = template.pointer("/metadata/labels").and_then(Value::as_object);
                let matches = |(key, value): (&String, &Value)| labels.and_then(|l| l.get(key)) == Some(value);
                if selector.is_some_and(|selector| !selector.iter().all(matches)) {
                    complain_of_labels(&mut errors, template, &template_path);
                }
                validate_template(&mut errors, template, &template_path);
                validate_endless(&mut errors, template, &template_path, "ReplicationController");
            }
        }
        for field in ["replicas", "minReadySeconds"] {
            non_negative(&mut errors, &path.child(field), number(spec, field));
        }
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_replica_status(&mut errors, &object["status"], &Path::new("status"));
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        name_warning(object, old).into_iter().chain(warnings::of_template(object, old, "spec.template")).collect()
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
