//! PriorityClass: how important pods are.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::set;

use crate::columns::{self, count, word};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses")
        .short_names(&["pc"])
        .counts_generations()
        .columns(columns::list(&["Name", "Value:integer", "Global-Default:boolean", "Age", "PreemptionPolicy"]))
        .strategy(PriorityClass)
}

struct PriorityClass;

impl Strategy for PriorityClass {
    fn set_defaults(&self, object: &mut Value) {
        set(object, "preemptionPolicy", "PreemptLowerPriority");
    }

    /// The first generation stays.
    fn is_new_generation(&self, _object: &Value, _old: &Value) -> bool {
        false
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(object),
            Value::from(count(object, "/value")),
            Value::from(object.get("globalDefault").and_then(Value::as_bool).unwrap_or(false)),
            columns::age(object, now),
            Value::from(word(object, "/preemptionPolicy")),
        ]
    }
}
