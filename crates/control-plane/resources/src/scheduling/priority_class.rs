//! PriorityClass: how important pods are.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{number, set};

use crate::columns::{self, count, word};
use crate::first::{Beginnings, First};
use crate::rules::{immutable, is_true, required_of};
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
    fn first(&self, _beginnings: &Beginnings) -> Vec<First> {
        let all = OF_THE_SYSTEM.map(|(name, value, description)| {
            First::once(json!({"metadata": {"name": name}, "value": value, "description": description}))
        });
        all.to_vec()
    }

    fn set_defaults(&self, object: &mut Value) {
        set(object, "preemptionPolicy", "PreemptLowerPriority");
    }

    /// The first generation stays.
    fn is_new_generation(&self, _object: &Value, _old: &Value) -> bool {
        false
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let (name, value) = (word(object, "/metadata/name"), number(object, "value"));
        if name.starts_with("system-") {
            if let Err(problem) = check_system_class(name, value, is_true(object, "globalDefault")) {
                let detail = format!(
                    "priority class names with 'system-' prefix are reserved for system use only. error: {problem}"
                );
                errors.push(Error::forbidden(&Path::new("metadata").child("name"), detail));
            }
        } else if value > HIGHEST_OF_USERS {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}");
            errors.push(Error::forbidden(&Path::new("value"), detail));
        }
        if object.get("preemptionPolicy").is_some_and(Value::is_string) {
            let policy = word(object, "/preemptionPolicy");
            required_of(&mut errors, &Path::new("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if number(object, "value") != number(old, "value") {
            errors.push(Error::forbidden(&Path::new("value"), "may not be changed in an update."));
        }
        let policy = |object: &'_ Value| object.get("preemptionPolicy").cloned();
        let (new, old) = (policy(object), policy(old));
        immutable(&mut errors, &Path::new("preemptionPolicy"), new.as_ref(), old.as_ref());
        errors
    }

    fn refuses_deletion(&self, name: &str) -> Option<&'static str> {
        let is_known = OF_THE_SYSTEM.iter().any(|(known, ..)| *known == name);
        is_known.then_some("this is a system priority class and cannot be deleted")
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

const HIGHEST_OF_USERS: i64 = 1_000_000_000;
/// The classes that every cluster has.
const OF_THE_SYSTEM: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

fn check_system_class(name: &str, value: i64, is_default: bool) -> Result<(), String> {
    let Some((_, expected, _)) = OF_THE_SYSTEM.iter().find(|(known, ..)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *expected {
        return Err(format!("value of {name} PriorityClass must be {expected}"));
    }
    if is_default { Err(format!("globalDefault of {name} PriorityClass must be false")) } else { Ok(()) }
}
