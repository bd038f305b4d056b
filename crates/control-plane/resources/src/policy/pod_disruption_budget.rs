//! PodDisruptionBudget: how many of a set of pods may be down at once on purpose.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, count, int_or_string};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
        .short_names(&["pdb"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(columns::list(&["Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"]))
        .strategy(PodDisruptionBudget)
}

struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let bound = |field: &str| {
            let value = object.pointer(&format!("/spec/{field}")).filter(|value| !value.is_null());
            Value::from(value.map_or("N/A".to_owned(), int_or_string))
        };
        vec![
            columns::name(object),
            bound("minAvailable"),
            bound("maxUnavailable"),
            Value::from(count(object, "/status/disruptionsAllowed")),
            columns::age(object, now),
        ]
    }
}
