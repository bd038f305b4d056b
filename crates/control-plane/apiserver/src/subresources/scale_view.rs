//! An object as its Scale.

use serde_json::{Value, json};
use windlass_api::GroupVersionKind;
use windlass_api::labels::Selector;
use windlass_machinery::tree::{child, put};
use windlass_resources::Resource;

use super::scale_managers::REPLICAS;

pub(crate) const SCALE: GroupVersionKind = GroupVersionKind::of("autoscaling", "v1", "Scale");

/// The Scale of an object. Custom resources say where its numbers are, and have its selector as text.
pub(crate) fn scale_of(resource: &Resource, object: &Value) -> Value {
    let metadata = &object["metadata"];
    let mut meta = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = metadata.get(field) {
            put(&mut meta, field, value.clone());
        }
    }
    let number_at = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let (wanted, present, selector) = match &resource.scale {
        None => (number_at(REPLICAS), number_at("/status/replicas"), selector(&object["spec"]["selector"])),
        Some(paths) => {
            let text = paths.selector.as_ref().and_then(|path| object.pointer(path)).and_then(Value::as_str);
            (number_at(&paths.replicas), number_at(&paths.status_replicas), text.unwrap_or_default().to_owned())
        }
    };
    let mut spec = json!({});
    if wanted != 0 {
        put(&mut spec, "replicas", wanted);
    }
    let mut status = json!({"replicas": present});
    if !selector.is_empty() || resource.scale.is_none() {
        put(&mut status, "selector", selector);
    }
    json!({"metadata": meta, "spec": spec, "status": status})
}

/// The selector of a built-in kind, as text.
fn selector(selector: &Value) -> String {
    // A ReplicationController selects by equality alone.
    let is_structure = selector.get("matchLabels").is_some() || selector.get("matchExpressions").is_some();
    if is_structure {
        let structure = serde_json::from_value(selector.clone()).ok();
        return Selector::from_structure(structure.as_ref()).map(|s| s.to_string()).unwrap_or_default();
    }
    let labels: std::collections::BTreeMap<String, String> =
        serde_json::from_value(selector.clone()).unwrap_or_default();
    Selector::from_map(&labels).to_string()
}

/// Where an object has the number of its replicas.
pub(super) fn replicas_pointer(resource: &Resource) -> &str {
    resource.scale.as_ref().map_or(REPLICAS, |paths| &paths.replicas)
}

/// Sets the number of an object's replicas.
pub(crate) fn put_replicas(resource: &Resource, object: &mut Value, replicas: i64) {
    let steps: Vec<&str> = replicas_pointer(resource).split('/').skip(1).collect();
    if let Some((last, above)) = steps.split_last() {
        let parent = above.iter().fold(object, |parent, step| child(parent, step));
        put(parent, last, replicas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_deployment_and_of_a_replication_controller() {
        let mut deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}}, "status": {"replicas": 2}});
        let of = |plural: &str| windlass_resources::all().into_iter().find(|r| &*r.plural == plural).unwrap();
        let deployments = of("deployments");
        let scale = scale_of(&deployments, &deployment);
        assert_eq!(
            (&scale["spec"], &scale["status"]),
            (&json!({"replicas": 3}), &json!({"replicas": 2, "selector": "a=b"}))
        );
        put_replicas(&deployments, &mut deployment, 4);
        assert_eq!(deployment["spec"]["replicas"], 4);
        let controller = json!({"spec": {"selector": {"c": "d"}}});
        assert_eq!(scale_of(&of("replicationcontrollers"), &controller)["status"]["selector"], "c=d");
    }
}
