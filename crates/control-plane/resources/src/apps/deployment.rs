//! Deployment: replicas of a pod, and how they are replaced when the pod changes.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_machinery::tree::{child, keep, set, set_text, text};

use crate::columns::{self, count};
use crate::core::pod_spec::set_template_defaults;
use crate::{Moment, Resource, Strategy, Subresource, metadata};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "Deployment", "deployments")
        .short_names(&["deploy"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .counts_generations()
        .columns(columns::list(&[
            "Name",
            "Ready",
            "Up-to-date",
            "Available",
            "Age",
            "+Containers",
            "+Images",
            "+Selector",
        ]))
        .strategy(Deployment)
}

struct Deployment;

impl Strategy for Deployment {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set(spec, "replicas", 1);
        let strategy = child(spec, "strategy");
        set_text(strategy, "type", "RollingUpdate");
        if text(strategy, "type") == "RollingUpdate" {
            let rolling = child(strategy, "rollingUpdate");
            set(rolling, "maxUnavailable", "25%");
            set(rolling, "maxSurge", "25%");
        }
        set(spec, "revisionHistoryLimit", 10);
        set(spec, "progressDeadlineSeconds", 600);
        set_template_defaults(child(spec, "template"));
    }

    /// Annotations are copied to the replica sets, so they count as well; a change of the status never does.
    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        let annotations =
            |object: &Value| object.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
        metadata::content_differs(object, old)
            || (object.get("status") == old.get("status") && annotations(object) != annotations(old))
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, _moment: Moment) {
        keep(child(object, "metadata"), &old["metadata"], "labels");
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ready = format!("{}/{}", count(object, "/status/readyReplicas"), count(object, "/spec/replicas"));
        let [names, images] = columns::containers(object.pointer("/spec/template/spec"));
        let selector = match columns::selector(object.pointer("/spec/selector")) {
            Value::String(text) if text == "<none>" => Value::from(""),
            Value::String(text) if text == "<error>" => Value::from("<invalid>"),
            selector => selector,
        };
        vec![
            columns::name(object),
            Value::from(ready),
            Value::from(count(object, "/status/updatedReplicas")),
            Value::from(count(object, "/status/availableReplicas")),
            columns::age(object, now),
            names,
            images,
            selector,
        ]
    }
}
