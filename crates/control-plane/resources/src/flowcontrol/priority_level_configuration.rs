//! PriorityLevelConfiguration: how many requests of a kind are served at once.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::{number, put, set};

use super::validation::{validate_conditions, validate_priority_level};
use super::{defaults, mandatory};
use crate::columns::{self, word};
use crate::first::{Beginnings, First};
use crate::{Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .counts_generations()
        .columns(columns::list(&[
            "Name",
            "Type",
            "NominalConcurrencyShares",
            "Queues",
            "HandSize",
            "QueueLengthLimit",
            "Age",
        ]))
        .strategy(PriorityLevelConfiguration)
}

struct PriorityLevelConfiguration;

impl Strategy for PriorityLevelConfiguration {
    fn first(&self, _beginnings: &Beginnings) -> Vec<First> {
        defaults::of_kind("PriorityLevelConfiguration")
    }

    fn set_defaults(&self, object: &mut Value) {
        if let Some(exempt) = object.pointer_mut("/spec/exempt").filter(|exempt| exempt.is_object()) {
            set(exempt, "nominalConcurrencyShares", 0);
            set(exempt, "lendablePercent", 0);
        }
        if let Some(limited) = object.pointer_mut("/spec/limited").filter(|limited| limited.is_object()) {
            set(limited, "nominalConcurrencyShares", 30);
            set(limited, "lendablePercent", 0);
            if let Some(queuing) = limited.pointer_mut("/limitResponse/queuing").filter(|queuing| queuing.is_object()) {
                for (field, value) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
                    if number(queuing, field) == 0 {
                        put(queuing, field, value);
                    }
                }
            }
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let (name, path) = (word(object, "/metadata/name"), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        validate_priority_level(&mut errors, name, spec, &path);
        mandatory::validate_priority_level(&mut errors, name, spec, &path);
        validate_conditions(&mut errors, object);
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_conditions(&mut errors, object);
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let limited = |pointer: &str| {
            let value = object.pointer(&format!("/spec/limited{pointer}"));
            value.cloned().unwrap_or_else(|| Value::from("<none>"))
        };
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/type")),
            limited("/nominalConcurrencyShares"),
            limited("/limitResponse/queuing/queues"),
            limited("/limitResponse/queuing/handSize"),
            limited("/limitResponse/queuing/queueLengthLimit"),
            columns::age(object, now),
        ]
    }
}
