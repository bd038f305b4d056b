//! ReplicaSet: a number of replicas of one pod.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, number, set};

use super::validation::{
    name_warning, parse_selector, shown_selector, validate_at_most, validate_counters, validate_matching_template,
    validate_selector,
};
use crate::columns::{self, count};
use crate::pod_spec::set_template_defaults;
use crate::pod_spec::warnings;
use crate::rules::{immutable, non_negative, object_at};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "ReplicaSet", "replicasets")
        .short_names(&["rs"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .counts_generations()
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

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path, spec) = (Errors::new(), Path::new("spec"), &object["spec"]);
        non_negative(&mut errors, &path.child("replicas"), number(spec, "replicas"));
        non_negative(&mut errors, &path.child("minReadySeconds"), number(spec, "minReadySeconds"));
        let selector = object_at(spec, "selector");
        if selector.is_none() {
            errors.push(Error::required(&path.child("selector"), ""));
        }
        // Upstream calls it so here as well.
        validate_selector(&mut errors, spec, &path, "deployment");
        if parse_selector(selector).is_none() {
            let detail = "invalid label selector";
            errors.push(Error::invalid(&path.child("selector"), shown_selector(selector), detail));
        } else {
            validate_matching_template(&mut errors, spec, &path, "ReplicaSet");
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        let spec = Path::new("spec");
        let (new, old) = (object.pointer("/spec/selector"), old.pointer("/spec/selector"));
        immutable(&mut errors, &spec.child("selector"), new, old);
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
            columns::selector(object.pointer("/spec/selector")),
        ]
    }
}

/// The status of a ReplicaSet or ReplicationController.
pub(crate) fn validate_replica_status(errors: &mut Errors, status: &Value, path: &Path<'_>) {
    const COUNTERS: [&str; 6] = [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "observedGeneration",
        "terminatingReplicas",
    ];
    validate_counters(errors, status, path, &COUNTERS);
    let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    validate_at_most(errors, status, path, &parts, ("replicas", "status.replicas"));
    validate_at_most(errors, status, path, &["availableReplicas"], ("readyReplicas", "readyReplicas"));
}
