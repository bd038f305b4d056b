//! How v1 spells the metrics and the behaviour of v2 in its annotations: flat where v2 has structures, and the behaviour with
//! capital letters, as upstream once happened to write it.

use serde_json::{Map, Value, json};
use windlass_machinery::tree::{put, text};

/// A source of a metric in v2 and in v1: v2's place of each value and v1's field.
type Fields = &'static [(&'static str, &'static str)];

const SPEC: [(&str, Fields); 5] = [
    (
        "object",
        &[
            ("/describedObject", "target"),
            ("/metric/name", "metricName"),
            ("/target/value", "targetValue"),
            ("/metric/selector", "selector"),
            ("/target/averageValue", "averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("/metric/name", "metricName"),
            ("/target/averageValue", "targetAverageValue"),
            ("/metric/selector", "selector"),
        ],
    ),
    (
        "resource",
        &[
            ("/name", "name"),
            ("/target/averageUtilization", "targetAverageUtilization"),
            ("/target/averageValue", "targetAverageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("/name", "name"),
            ("/container", "container"),
            ("/target/averageUtilization", "targetAverageUtilization"),
            ("/target/averageValue", "targetAverageValue"),
        ],
    ),
    (
        "external",
        &[
            ("/metric/name", "metricName"),
            ("/metric/selector", "metricSelector"),
            ("/target/value", "targetValue"),
            ("/target/averageValue", "targetAverageValue"),
        ],
    ),
];

const STATUS: [(&str, Fields); 5] = [
    (
        "object",
        &[
            ("/describedObject", "target"),
            ("/metric/name", "metricName"),
            ("/current/value", "currentValue"),
            ("/metric/selector", "selector"),
            ("/current/averageValue", "averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("/metric/name", "metricName"),
            ("/current/averageValue", "currentAverageValue"),
            ("/metric/selector", "selector"),
        ],
    ),
    (
        "resource",
        &[
            ("/name", "name"),
            ("/current/averageUtilization", "currentAverageUtilization"),
            ("/current/averageValue", "currentAverageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("/name", "name"),
            ("/container", "container"),
            ("/current/averageUtilization", "currentAverageUtilization"),
            ("/current/averageValue", "currentAverageValue"),
        ],
    ),
    (
        "external",
        &[
            ("/metric/name", "metricName"),
            ("/metric/selector", "metricSelector"),
            ("/current/value", "currentValue"),
            ("/current/averageValue", "currentAverageValue"),
        ],
    ),
];

pub(super) fn spec_to_v1(metric: &Value) -> Value {
    to_v1(metric, &SPEC)
}

pub(super) fn status_to_v1(metric: &Value) -> Value {
    to_v1(metric, &STATUS)
}

pub(super) fn status_to_v2(metric: &Value) -> Value {
    to_v2(metric, &STATUS)
}

/// The type of the target is not said in v1: it follows from which value is there.
pub(super) fn spec_to_v2(metric: &Value) -> Value {
    let mut metric = to_v2(metric, &SPEC);
    for (source, _) in SPEC {
        if let Some(target) = metric.pointer_mut(&format!("/{source}/target")) {
            let has = |field: &str| target.get(field).is_some();
            let kind = match source {
                "resource" | "containerResource" if has("averageUtilization") => "Utilization",
                "external" if has("value") => "Value",
                "object" if !has("averageValue") => "Value",
                _ => "AverageValue",
            };
            put(target, "type", kind);
        }
    }
    metric
}

fn to_v1(metric: &Value, sources: &[(&str, Fields)]) -> Value {
    let mut converted = json!({"type": text(metric, "type")});
    for (source, fields) in sources {
        let Some(from) = metric.get(*source).filter(|from| from.is_object()) else { continue };
        let values =
            fields.iter().filter_map(|(place, field)| Some(((*field).to_owned(), from.pointer(place)?.clone())));
        put(&mut converted, source, Value::Object(values.collect()));
    }
    converted
}

fn to_v2(metric: &Value, sources: &[(&str, Fields)]) -> Value {
    let mut converted = json!({"type": text(metric, "type")});
    for (source, fields) in sources {
        let Some(from) = metric.get(*source).filter(|from| from.is_object()) else { continue };
        let mut to = json!({});
        for (place, field) in *fields {
            let Some(value) = from.get(*field).filter(|value| !value.is_null()) else { continue };
            let mut at = &mut to;
            for step in place.trim_start_matches('/').split('/') {
                at = &mut at[step];
            }
            *at = value.clone();
        }
        put(&mut converted, source, to);
    }
    converted
}

pub(super) fn behavior_to_v1(behavior: &Value) -> Value {
    rename(behavior, |name| {
        let mut letters = name.chars();
        letters.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    })
}

pub(super) fn behavior_to_v2(behavior: &Value) -> Value {
    rename(behavior, |name| {
        let mut letters = name.chars();
        letters.next().map_or(String::new(), |first| first.to_ascii_lowercase().to_string() + letters.as_str())
    })
}

/// The same tree under other names, without what is null.
fn rename(value: &Value, name: impl Fn(&str) -> String + Copy) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            Value::Object(fields.map(|(field, value)| (name(field), rename(value, name))).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(|value| rename(value, name)).collect()),
        other => other.clone(),
    }
}
