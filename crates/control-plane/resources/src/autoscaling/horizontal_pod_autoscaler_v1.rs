//! HorizontalPodAutoscaler in `autoscaling/v1`: the view of clients that know of CPU alone. Everything else travels in
//! annotations, so that what such a client reads and writes back is complete.
//!
//! Source: upstream `pkg/apis/autoscaling/v1/conversion.go`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use windlass_api::field::Errors;
use windlass_machinery::tree::{child, number, put, remove, set, text};

use super::horizontal_pod_autoscaler::{HorizontalPodAutoscaler, cpu_metric, table_columns};
use super::metrics_v1;
use crate::{Moment, Resource, Strategy, Subresource};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CPU: &str = "targetCPUUtilizationPercentage";
const CURRENT_CPU: &str = "currentCPUUtilizationPercentage";

pub(crate) fn resource() -> Resource {
    Resource::namespaced("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
        .short_names(&["hpa"])
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(table_columns())
        .strategy(V1)
}

struct V1;

impl Strategy for V1 {
    fn set_defaults(&self, object: &mut Value) {
        set(child(object, "spec"), "minReplicas", 1);
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        remove_annotations(object, &[CURRENT_METRICS, CONDITIONS]);
    }

    fn validate(&self, object: &Value) -> Errors {
        HorizontalPodAutoscaler.validate(&stored(object))
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        HorizontalPodAutoscaler.validate_update(&stored(object), &stored(old))
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        HorizontalPodAutoscaler.validate_status(&stored(object), &stored(old))
    }

    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        stored(object)["spec"] != stored(old)["spec"]
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        HorizontalPodAutoscaler.cells(&stored(object), now)
    }

    fn to_served(&self, object: &mut Value) {
        to_served(object);
    }

    fn to_stored(&self, object: &mut Value) {
        to_stored(object);
    }

    fn is_stored_form(&self, _revision: u64) -> bool {
        false
    }
}

fn stored(object: &Value) -> Value {
    let mut object = object.clone();
    to_stored(&mut object);
    object
}

fn remove_annotations(object: &mut Value, names: &[&str]) {
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        for name in names {
            annotations.remove(*name);
        }
        if annotations.is_empty() {
            remove(child(object, "metadata"), "annotations");
        }
    }
}

/// Whether it is the one metric that v1 has a field for.
fn is_cpu(metric: &Value) -> bool {
    text(metric, "type") == "Resource" && metric.pointer("/resource/name") == Some(&json!("cpu"))
}

fn to_served(object: &mut Value) {
    remove_annotations(object, &[METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR]);
    let mut annotations = Map::new();
    let spec = child(object, "spec");
    let metrics = remove(spec, "metrics").unwrap_or_default();
    let utilization = |metric: &Value, place: &str| {
        metric.pointer(&format!("/resource/{place}/averageUtilization")).and_then(Value::as_i64)
    };
    let mut others = Vec::new();
    for metric in metrics.as_array().into_iter().flatten() {
        match utilization(metric, "target").filter(|_| is_cpu(metric)) {
            Some(percent) => set(spec, CPU, percent),
            None => others.push(metrics_v1::spec_to_v1(metric)),
        }
    }
    if !others.is_empty() {
        annotations.insert(METRICS.to_owned(), text_of(&Value::from(others)));
    }
    if let Some(behavior) = remove(spec, "behavior").filter(Value::is_object) {
        annotations.insert(BEHAVIOR.to_owned(), text_of(&metrics_v1::behavior_to_v1(&behavior)));
    }
    let status = child(object, "status");
    set(status, "currentReplicas", 0);
    if let Some(metrics) = remove(status, "currentMetrics").filter(Value::is_array) {
        let metrics: Vec<Value> = metrics.as_array().into_iter().flatten().cloned().collect();
        for metric in metrics.iter().filter(|metric| is_cpu(metric)) {
            if let Some(percent) = utilization(metric, "current") {
                put(status, CURRENT_CPU, percent);
            }
        }
        let metrics: Vec<Value> = metrics.iter().map(metrics_v1::status_to_v1).collect();
        if !metrics.is_empty() {
            annotations.insert(CURRENT_METRICS.to_owned(), text_of(&Value::from(metrics)));
        }
    }
    if let Some(conditions) = remove(status, "conditions").filter(Value::is_array) {
        annotations.insert(CONDITIONS.to_owned(), text_of(&conditions));
    }
    if !annotations.is_empty()
        && let Some(all) = child(child(object, "metadata"), "annotations").as_object_mut()
    {
        all.extend(annotations);
    }
}

fn text_of(value: &Value) -> Value {
    Value::from(value.to_string())
}

fn to_stored(object: &mut Value) {
    let annotated = |object: &Value, name: &str| -> Option<Value> {
        let text = object.pointer("/metadata/annotations")?.get(name)?.as_str()?;
        serde_json::from_str(text).ok()
    };
    let metrics = annotated(object, METRICS).filter(Value::is_array);
    let behavior = annotated(object, BEHAVIOR).filter(Value::is_object);
    let current = annotated(object, CURRENT_METRICS).filter(Value::is_array);
    let conditions = annotated(object, CONDITIONS).filter(Value::is_array);
    remove_annotations(object, &[METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR]);
    let spec = child(object, "spec");
    let mut all: Vec<Value> =
        metrics.as_ref().and_then(Value::as_array).into_iter().flatten().map(metrics_v1::spec_to_v2).collect();
    if let Some(percent) = remove(spec, CPU).as_ref().and_then(Value::as_i64) {
        all.push(cpu_metric(percent));
    }
    if all.is_empty() {
        all.push(cpu_metric(80));
    }
    put(spec, "metrics", all);
    if let Some(behavior) = behavior.map(|behavior| metrics_v1::behavior_to_v2(&behavior)) {
        put(spec, "behavior", behavior);
    }
    let status = child(object, "status");
    let percent = remove(status, CURRENT_CPU);
    match (current, percent.as_ref().and_then(Value::as_i64)) {
        (Some(current), _) => {
            let metrics: Vec<Value> = current.as_array().into_iter().flatten().map(metrics_v1::status_to_v2).collect();
            put(status, "currentMetrics", metrics);
        }
        (None, Some(percent)) => {
            let metric =
                json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}});
            put(status, "currentMetrics", json!([metric]));
        }
        // Absent lists are null in this type.
        (None, None) => put(status, "currentMetrics", Value::Null),
    }
    if let Some(conditions) = conditions {
        put(status, "conditions", conditions);
    }
    // This version always writes the number, v2 never a zero.
    if number(status, "currentReplicas") == 0 {
        remove(status, "currentReplicas");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let stored = json!({"metadata": {"name": "h"}, "spec": {"minReplicas": 1, "maxReplicas": 3, "metrics": [
            {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
            "behavior": {"scaleDown": {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}}},
            "status": {"currentReplicas": 1, "desiredReplicas": 1, "conditions": [{"type": "A", "status": "True"}],
                "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 7, "averageValue": "3m"}}}]}});
        let mut object = stored.clone();
        to_served(&mut object);
        assert_eq!((number(&object["spec"], CPU), number(&object["status"], CURRENT_CPU)), (50, 7));
        assert_eq!(object["metadata"]["annotations"].as_object().map(Map::len), Some(4));
        to_stored(&mut object);
        assert_eq!(object, stored);
    }
}
