//! Event: the newer view of the core group's events, with other names for some of their fields.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_machinery::tree::{put, remove, set};

use crate::core::event::{LIFE_SECONDS, cells, event_columns};
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

    fn is_stored_form(&self) -> bool {
        false
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
