//! Who manages the number of replicas: entries of an object's `managedFields` as those of its scale, and back.
//!
//! Source: apimachinery `util/managedfields/scalehandler.go`.

use serde_json::{Value, json};
use windlass_api::GroupVersionKind;
use windlass_machinery::managed::FieldSet;
use windlass_machinery::tree::{items, put, text};

use crate::scale_view::REPLICAS;

/// The set of fields that holds nothing but the one that a pointer leads to.
fn only(pointer: &str) -> Value {
    steps(pointer).rev().fold(json!({}), |below, step| json!({format!("f:{step}"): below}))
}

fn steps(pointer: &str) -> impl DoubleEndedIterator<Item = &str> {
    pointer.trim_start_matches('/').split('/')
}

/// Whether an entry of `managedFields` owns the number of replicas, of an object or of its scale, which is at this pointer.
fn owns_replicas(entry: &Value, pointer: &str) -> bool {
    steps(pointer).try_fold(&entry["fieldsV1"], |set, step| set.get(format!("f:{step}"))).is_some()
}

/// Those who manage an object's number, as managers of its scale.
pub(super) fn managers_of_scale(object: &Value, scale: &GroupVersionKind, replicas: &str) -> Vec<Value> {
    let owners = items(&object["metadata"], "managedFields").filter(|entry| owns_replicas(entry, replicas)).cloned();
    let of_scale = |mut entry: Value| {
        put(&mut entry, "apiVersion", scale.api_version());
        put(&mut entry, "fieldsV1", only(REPLICAS));
        entry
    };
    owners.map(of_scale).collect()
}

/// The managers of an object whose scale has been applied: whoever has lost the number there has lost it here.
pub(super) fn managers_of_scaled(old: &Value, scale: &Value, api_version: &str, replicas: &str) -> Vec<Value> {
    let same = |a: &Value, b: &Value| {
        ["manager", "operation", "subresource"].iter().all(|field| text(a, field) == text(b, field))
    };
    let mut of_scale: Vec<Value> =
        items(&scale["metadata"], "managedFields").filter(|e| owns_replicas(e, REPLICAS)).cloned().collect();
    let mut managers = Vec::new();
    for entry in items(&old["metadata"], "managedFields") {
        let mut entry = entry.clone();
        if owns_replicas(&entry, replicas) {
            match of_scale.iter().position(|other| same(&entry, other)) {
                Some(place) => drop(of_scale.swap_remove(place)),
                None => {
                    let set =
                        FieldSet::from_value(&entry["fieldsV1"]).without_tree(&steps(replicas).collect::<Vec<_>>());
                    if set.is_empty() {
                        continue;
                    }
                    put(&mut entry, "fieldsV1", set.into_value());
                }
            }
        }
        managers.push(entry);
    }
    managers.extend(of_scale.into_iter().map(|mut entry| {
        put(&mut entry, "apiVersion", api_version);
        put(&mut entry, "fieldsV1", only(replicas));
        entry
    }));
    managers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn there_and_back() {
        let number = json!({"f:spec": {"f:replicas": {}}});
        let more = json!({"f:spec": {"f:replicas": {}, "f:paused": {}}});
        let other = json!({"f:spec": {"f:paused": {}}});
        let all = [entry("a", number.clone()), entry("b", more), entry("c", other.clone())];
        let old = json!({"metadata": {"managedFields": all}});
        let scale = GroupVersionKind::of("autoscaling", "v1", "Scale");
        let of_scale = managers_of_scale(&old, &scale, REPLICAS);
        let names: Vec<_> = of_scale.iter().map(|entry| (text(entry, "manager"), text(entry, "apiVersion"))).collect();
        assert_eq!(names, [("a", "autoscaling/v1"), ("b", "autoscaling/v1")]);
        // Nothing has changed hands.
        let same = json!({"metadata": {"managedFields": of_scale}});
        assert_eq!(json!(managers_of_scaled(&old, &same, "apps/v1", REPLICAS)), old["metadata"]["managedFields"]);
        // Somebody has taken the number: who had nothing else is gone.
        let taken = json!({"metadata": {"managedFields": [entry("d", number.clone())]}});
        let expected = [entry("b", other.clone()), entry("c", other), entry("d", number)];
        assert_eq!(managers_of_scaled(&old, &taken, "apps/v1", REPLICAS), expected);
    }
}
