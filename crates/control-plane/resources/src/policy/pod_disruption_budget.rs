//! PodDisruptionBudget: how many of a set of pods may be down at once on purpose.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Errors, Path};
use windlass_api::names;

use crate::apps::validation::{validate_at_most_all, validate_int_or_percent};
use crate::columns::{self, count, int_or_string};
use crate::conditions::validate_conditions;
use crate::go_form::invalid_structure;
use crate::rules::{at, label_selector, non_negative_fields, supported};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
        .name_rule(names::path_segment)
        .takes_any_finalizer()
        .short_names(&["pdb"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(columns::list(&["Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"]))
        .updates_need_version()
        .strategy(PodDisruptionBudget)
}

struct PodDisruptionBudget;

impl Strategy for PodDisruptionBudget {
    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let bounds = ["minAvailable", "maxUnavailable"];
        if bounds.iter().all(|field| at(spec, field).is_some()) {
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.push(invalid_structure(&path, "policy.v1.PodDisruptionBudgetSpec", spec, detail));
        }
        for field in bounds {
            if let Some(bound) = at(spec, field) {
                validate_int_or_percent(&mut errors, &path.child(field), bound);
                validate_at_most_all(&mut errors, &path.child(field), bound);
            }
        }
        label_selector(&mut errors, &path.child("selector"), spec.get("selector"));
        if let Some(policy) = at(spec, "unhealthyPodEvictionPolicy").and_then(Value::as_str) {
            let path = path.child("unhealthyPodEvictionPolicy");
            supported(&mut errors, &path, policy, &["AlwaysAllow", "IfHealthyBudget"]);
        }
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        let counters = ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"];
        let status = object.get("status").unwrap_or(&Value::Null);
        let path = Path::new("status");
        validate_conditions(&mut errors, status, &path);
        non_negative_fields(&mut errors, status, &path, &counters);
        errors
    }

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
