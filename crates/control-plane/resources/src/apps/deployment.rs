//! Deployment: replicas of a pod, and how they are replaced when the pod changes.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{child, number, set, set_text, text};

use super::validation::{
    int_or_percent, name_warning, parse_selector, shown_selector, validate_at_most, validate_at_most_all,
    validate_collisions, validate_counters, validate_int_or_percent, validate_matching_template, validate_selector,
};
use crate::columns::{self, count};
use crate::pod_spec::set_template_defaults;
use crate::pod_spec::warnings;
use crate::resource::content_differs;
use crate::rules::{immutable, non_negative, object_at};
use crate::{Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "Deployment", "deployments")
        .short_names(&["deploy"])
        .categories(&["all"])
        .subresources(&[Subresource::Scale, Subresource::Status])
        .status_metadata(StatusMetadata::AllButLabels)
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

    /// Annotations are copied to the replica sets, so they count as well.
    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        let annotations =
            |object: &Value| object.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
        content_differs(object, old) || annotations(object) != annotations(old)
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_spec(&mut errors, &object["spec"], &Path::new("spec"));
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        let spec = Path::new("spec");
        let (new, old) = (object.pointer("/spec/selector"), old.pointer("/spec/selector"));
        immutable(&mut errors, &spec.child("selector"), new, old);
        errors
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        const COUNTERS: [&str; 8] = [
            "observedGeneration",
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "terminatingReplicas",
            "collisionCount",
        ];
        let (mut errors, path, status) = (Errors::new(), Path::new("status"), &object["status"]);
        validate_counters(&mut errors, status, &path, &COUNTERS);
        let parts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
        validate_at_most(&mut errors, status, &path, &parts, ("replicas", "status.replicas"));
        validate_at_most(&mut errors, status, &path, &["availableReplicas"], ("readyReplicas", "readyReplicas"));
        validate_collisions(&mut errors, object, old);
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        name_warning(object, old).into_iter().chain(warnings::of_template(object, old, "spec.template")).collect()
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

fn validate_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    non_negative(errors, &path.child("replicas"), number(spec, "replicas"));
    let selector = object_at(spec, "selector");
    if selector.is_none() {
        errors.push(Error::required(&path.child("selector"), ""));
    }
    validate_selector(errors, spec, path, "deployment");
    if parse_selector(selector).is_none() {
        let detail = "invalid label selector";
        errors.push(Error::invalid(&path.child("selector"), shown_selector(selector), detail));
    } else {
        validate_matching_template(errors, spec, path, "ReplicaSet");
    }
    validate_strategy(errors, &spec["strategy"], &path.child("strategy"));
    non_negative(errors, &path.child("minReadySeconds"), number(spec, "minReadySeconds"));
    non_negative(errors, &path.child("revisionHistoryLimit"), number(spec, "revisionHistoryLimit"));
    if let Some(seconds) = spec.get("progressDeadlineSeconds").and_then(Value::as_i64) {
        let path = path.child("progressDeadlineSeconds");
        non_negative(errors, &path, seconds);
        if seconds <= number(spec, "minReadySeconds") {
            errors.push(Error::invalid(&path, seconds, "must be greater than minReadySeconds"));
        }
    }
}

fn validate_strategy(errors: &mut Errors, strategy: &Value, path: &Path<'_>) {
    let rolling_path = path.child("rollingUpdate");
    match (text(strategy, "type"), object_at(strategy, "rollingUpdate")) {
        ("Recreate", Some(_)) => {
            errors.push(Error::forbidden(&rolling_path, "may not be specified when strategy `type` is 'Recreate'"));
        }
        ("Recreate", None) => {}
        ("RollingUpdate", None) => {
            errors.push(Error::required(&rolling_path, "this should be defaulted and never be nil"));
        }
        ("RollingUpdate", Some(rolling)) => {
            let (unavailable, surge) = (&rolling["maxUnavailable"], &rolling["maxSurge"]);
            let unavailable_path = rolling_path.child("maxUnavailable");
            validate_int_or_percent(errors, &unavailable_path, unavailable);
            validate_int_or_percent(errors, &rolling_path.child("maxSurge"), surge);
            if int_or_percent(unavailable) == 0 && int_or_percent(surge) == 0 {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.push(Error::invalid(&unavailable_path, unavailable.clone(), detail));
            }
            validate_at_most_all(errors, &unavailable_path, unavailable);
        }
        (kind, rolling) => {
            let shown = json!({"Type": kind, "RollingUpdate": rolling.map(|rolling| {
                serde_json::json!({"MaxUnavailable": rolling.get("maxUnavailable"), "MaxSurge": rolling.get("maxSurge")})
            })});
            errors.push(Error::not_supported(path, shown, &["Recreate", "RollingUpdate"]));
        }
    }
}
