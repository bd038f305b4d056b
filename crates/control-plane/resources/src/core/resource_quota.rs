//! ResourceQuota: bounds for what a namespace may hold and use in all.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::Quantity;
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::{child, text};

use super::quota_validation::{validate_amounts, validate_quota, validate_quota_update};
use crate::columns;
use crate::quantities::{quantity, round_up};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "ResourceQuota", "resourcequotas")
        .short_names(&["quota"])
        .subresources(&[Subresource::Status])
        .columns(columns::list(&["Name", "Request", "Limit", "Age"]))
        .strategy(ResourceQuota)
}

struct ResourceQuota;

impl Strategy for ResourceQuota {
    fn set_defaults(&self, object: &mut Value) {
        round_up(child(object, "spec").get_mut("hard"));
        for list in ["hard", "used"] {
            round_up(child(object, "status").get_mut(list));
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_quota(&mut errors, object.get("spec").unwrap_or(&Value::Null), &Path::new("spec"));
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        let (spec, before) = (object.get("spec"), old.get("spec"));
        let null = Value::Null;
        validate_quota_update(&mut errors, spec.unwrap_or(&null), before.unwrap_or(&null), &Path::new("spec"));
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("status"));
        for list in ["hard", "used"] {
            validate_amounts(&mut errors, object.get("status").unwrap_or(&Value::Null), &path, list);
        }
        errors
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let hard = object.pointer("/spec/hard");
        let find = |name: String| quantity(hard, &name).map(|found| (name, found));
        ["cpu", "memory", "storage", "ephemeral-storage"]
            .into_iter()
            .filter_map(|resource| {
                let bare = matches!(resource, "cpu" | "memory");
                let request = find(format!("requests.{resource}"));
                let (request, asked) = request.or_else(|| find(resource.to_owned()).filter(|_| bare))?;
                let (limit, allowed) = find(format!("limits.{resource}"))?;
                let warning = || format!("ResourceQuota {request} ({asked}) should be less than {limit} ({allowed})");
                (asked > allowed).then(warning)
            })
            .collect()
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (mut requests, mut limits) = (Vec::new(), Vec::new());
        let status = &object["status"];
        for (name, hard) in status.get("hard").and_then(Value::as_object).into_iter().flatten() {
            let used = match status.get("used").map_or("", |used| text(used, name)) {
                "" => Quantity::ZERO.to_string(),
                used => used.to_owned(),
            };
            let list = if name.starts_with("limits.") { &mut limits } else { &mut requests };
            list.push(format!("{name}: {used}/{}", hard.as_str().unwrap_or("0")));
        }
        vec![
            columns::name(object),
            Value::from(requests.join(", ")),
            Value::from(limits.join(", ")),
            columns::age(object, now),
        ]
    }
}
