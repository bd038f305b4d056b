//! HorizontalPodAutoscaler: scales replicas by what they use.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::{child, items, put, set, text};

use super::validation::{validate_spec, validate_status};
use crate::columns::{self, count, word};
use crate::{Resource, Strategy, Subresource};

const CPU_UTILIZATION_PERCENT: i64 = 80;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
        .short_names(&["hpa"])
        .categories(&["all"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(table_columns())
        .strategy(HorizontalPodAutoscaler)
}

/// The columns of both versions.
pub(super) fn table_columns() -> Vec<columns::Column> {
    columns::list(&["Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"])
}

pub(super) struct HorizontalPodAutoscaler;

impl Strategy for HorizontalPodAutoscaler {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        set(spec, "minReplicas", 1);
        if items(spec, "metrics").next().is_none() {
            put(spec, "metrics", json!([cpu_metric(CPU_UTILIZATION_PERCENT)]));
        }
        // Who says anything of the behaviour gets the rest of it filled in.
        if let Some(behavior) = spec.get_mut("behavior").filter(|behavior| behavior.is_object()) {
            let up = child(behavior, "scaleUp");
            set(up, "stabilizationWindowSeconds", 0);
            set(up, "selectPolicy", "Max");
            let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
            let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
            set(up, "policies", json!([pods, percent]));
            let down = child(behavior, "scaleDown");
            set(down, "selectPolicy", "Max");
            set(down, "policies", json!([percent]));
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_spec(&mut errors, object.get("spec").unwrap_or(&Value::Null), &Path::new("spec"));
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_status(&mut errors, object.get("status").unwrap_or(&Value::Null), &Path::new("status"));
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let target = &object["spec"]["scaleTargetRef"];
        let least = object.pointer("/spec/minReplicas").and_then(Value::as_i64);
        vec![
            columns::name(object),
            Value::from(format!("{}/{}", text(target, "kind"), text(target, "name"))),
            Value::from(targets(object)),
            Value::from(least.map_or("<unset>".to_owned(), |least| least.to_string())),
            Value::from(count(object, "/spec/maxReplicas")),
            Value::from(count(object, "/status/currentReplicas")),
            columns::age(object, now),
        ]
    }
}

/// The metric that is meant when nothing is said, and the only one that v1 knows.
pub(super) fn cpu_metric(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}})
}

/// `cpu: 10%/80%, 5/10 (avg) + 1 more...`
fn targets(object: &Value) -> String {
    const SHOWN_MAX: usize = 2;
    let current: Vec<&Value> = items(&object["status"], "currentMetrics").collect();
    let all: Vec<String> = items(&object["spec"], "metrics")
        .enumerate()
        .map(|(index, metric)| target(metric, current.get(index).copied().unwrap_or(&Value::Null)))
        .collect();
    match all.len() {
        0 => "<none>".to_owned(),
        1..=SHOWN_MAX => all.join(", "),
        more => format!("{} + {} more...", all[..SHOWN_MAX].join(", "), more - SHOWN_MAX),
    }
}

/// One metric as `current/target`.
fn target(metric: &Value, status: &Value) -> String {
    let (field, is_resource) = match text(metric, "type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".to_owned(),
    };
    let (spec, current) = (&metric[field], &status[field]["current"]);
    let wanted = &spec["target"];
    let now = |name: &str| word(current, &format!("/{name}"));
    let or_unknown = |text: &str| if text.is_empty() { "<unknown>".to_owned() } else { text.to_owned() };
    let average = text(wanted, "averageValue");
    if is_resource {
        let percent = |owner: &Value| owner.get("averageUtilization").and_then(Value::as_i64).map(|n| format!("{n}%"));
        let name = text(spec, "name");
        return match average {
            "" => format!(
                "{name}: {}/{}",
                percent(current).unwrap_or("<unknown>".to_owned()),
                percent(wanted).unwrap_or("<auto>".to_owned())
            ),
            average => format!("{name}: {}/{average}", or_unknown(now("averageValue"))),
        };
    }
    match (field, average) {
        ("pods", average) => format!("{}/{average}", or_unknown(now("averageValue"))),
        (_, "") => format!("{}/{}", or_unknown(now("value")), text(wanted, "value")),
        (_, average) => format!("{}/{average} (avg)", or_unknown(now("averageValue"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_defaults() {
        let mut object = json!({"metadata": {"name": "h"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"},
            "maxReplicas": 3, "behavior": {"scaleDown": {"selectPolicy": "Min"}}}});
        HorizontalPodAutoscaler.set_defaults(&mut object);
        assert_eq!(object["spec"]["behavior"]["scaleDown"]["selectPolicy"], "Min");
        assert_eq!(object["spec"]["behavior"]["scaleUp"]["policies"].as_array().map(Vec::len), Some(2));
        let cells = HorizontalPodAutoscaler.cells(&object, Timestamp::UNIX_EPOCH);
        assert_eq!(cells[1..4], [json!("Deployment/d"), json!("cpu: <unknown>/80%"), json!("1")]);
    }
}
