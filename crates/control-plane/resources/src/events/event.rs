//! Event: the newer view of the core group's events, with other names for some of their fields.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{number, put, remove, set, text};

use crate::core::event::{LIFE_SECONDS, cells, event_columns, validate_event};
use crate::rules::{IMMUTABLE, at, object_at};
use crate::{Resource, Strategy};

/// Each field's name in this view and in the stored form.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// What an update may not change: the field's name in the stored form and in complaints.
const FIXED: [(&str, &str); 14] = [
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    // Upstream looks at it twice.
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

/// What the stored form always writes and this view may leave out, or the other way round.
const ALWAYS_STORED: [&str; 6] =
    ["involvedObject", "source", "firstTimestamp", "lastTimestamp", "reportingComponent", "reportingInstance"];

pub(crate) fn resource() -> Resource {
    Resource::namespaced("events.k8s.io", "v1", "Event", "events")
        .short_names(&["ev"])
        .creates_on_update()
        .stored_as("events")
        .selectable(&[
            ("regarding.kind", "/involvedObject/kind"),
            ("regarding.namespace", "/involvedObject/namespace"),
            ("regarding.name", "/involvedObject/name"),
            ("regarding.uid", "/involvedObject/uid"),
            ("regarding.apiVersion", "/involvedObject/apiVersion"),
            ("regarding.resourceVersion", "/involvedObject/resourceVersion"),
            ("regarding.fieldPath", "/involvedObject/fieldPath"),
            ("reason", "/reason"),
            ("reportingController", "/reportingComponent"),
            ("type", "/type"),
        ])
        .columns(event_columns())
        .strategy(Event)
}

struct Event;

impl Strategy for Event {
    fn to_served(&self, object: &mut Value) {
        for (served, stored) in NAMES {
            if let Some(value) = remove(object, stored) {
                let is_empty = value.is_null() || value == "" || value == 0;
                if !is_empty || stored.ends_with("Timestamp") {
                    put(object, served, value);
                }
            }
        }
        if object.get("reportingInstance") == Some(&json!("")) {
            remove(object, "reportingInstance");
        }
    }

    fn to_stored(&self, object: &mut Value) {
        for (served, stored) in NAMES {
            if let Some(value) = remove(object, served) {
                put(object, stored, value);
            }
        }
        for field in ALWAYS_STORED {
            let empty = match field {
                "involvedObject" | "source" => json!({}),
                "firstTimestamp" | "lastTimestamp" => Value::Null,
                _ => json!(""),
            };
            if object.get(field).is_none() {
                set(object, field, empty);
            }
        }
    }

    fn is_stored_form(&self, _revision: u64) -> bool {
        false
    }

    fn refusing_group<'a>(&self, _group: &'a str) -> &'a str {
        ""
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut stored = object.clone();
        self.to_stored(&mut stored);
        let mut errors = Errors::new();
        validate_event(&mut errors, &stored, "reportingController");
        validate_series(&mut errors, &stored);
        if at(&stored, "eventTime").is_none() {
            errors.push(Error::required(&Path::new("eventTime"), ""));
        }
        let kind = text(&stored, "type");
        if !matches!(kind, "Normal" | "Warning") {
            errors.push(Error::invalid(&Path::new("type"), "", format!("has invalid value: {kind}")));
        }
        let source = stored.get("source").unwrap_or(&Value::Null);
        let legacy = [
            ("firstTimestamp", at(&stored, "firstTimestamp").is_some()),
            ("lastTimestamp", at(&stored, "lastTimestamp").is_some()),
            ("count", number(&stored, "count") != 0),
            ("source", !text(source, "component").is_empty() || !text(source, "host").is_empty()),
        ];
        for (field, _) in legacy.into_iter().filter(|(_, is_set)| *is_set) {
            errors.push(Error::invalid(&Path::new(field), "", "needs to be unset"));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut new, mut before) = (object.clone(), old.clone());
        self.to_stored(&mut new);
        self.to_stored(&mut before);
        let mut errors = Errors::new();
        validate_event(&mut errors, &new, "reportingController");
        if new.get("series") != before.get("series") {
            validate_series(&mut errors, &new);
        }
        for (field, shown) in FIXED {
            if at(&new, field) != at(&before, field) {
                errors.push(Error::invalid(&Path::new(shown), shown_value(field, new.get(field)), IMMUTABLE));
            }
        }
        errors
    }

    fn time_to_live_seconds(&self) -> Option<i64> {
        Some(LIFE_SECONDS)
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut stored = object.clone();
        self.to_stored(&mut stored);
        cells(&stored, now)
    }
}

/// A value as upstream's complaints show it: references with all their fields, by their names in Go.
fn shown_value(field: &str, value: Option<&Value>) -> Value {
    let value = value.unwrap_or(&Value::Null);
    match (field, value) {
        ("involvedObject" | "related", Value::Object(_)) => json!({
            "Kind": text(value, "kind"),
            "Namespace": text(value, "namespace"),
            "Name": text(value, "name"),
            "UID": text(value, "uid"),
            "APIVersion": text(value, "apiVersion"),
            "ResourceVersion": text(value, "resourceVersion"),
            "FieldPath": text(value, "fieldPath"),
        }),
        ("reason" | "message" | "type" | "action" | "reportingComponent" | "reportingInstance", Value::Null) => {
            json!("")
        }
        (_, value) => value.clone(),
    }
}

fn validate_series(errors: &mut Errors, event: &Value) {
    let Some(series) = object_at(event, "series") else { return };
    if number(series, "count") < 2 {
        errors.push(Error::invalid(&Path::new("series.count"), "", "should be at least 2"));
    }
    if at(series, "lastObservedTime").is_none() {
        errors.push(Error::required(&Path::new("series.lastObservedTime"), ""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        let served = json!({"metadata": {}, "eventTime": "2026-01-01T00:00:00.000000Z", "regarding": {"kind": "Pod"},
            "note": "n", "reportingController": "c", "reportingInstance": "i", "deprecatedSource": {},
            "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null});
        let mut object = served.clone();
        Event.to_stored(&mut object);
        assert_eq!((&object["message"], &object["involvedObject"]["kind"]), (&json!("n"), &json!("Pod")));
        Event.to_served(&mut object);
        assert_eq!(object, served);
    }
}
