//! The Scale of an object: how an object looks as one, and what of one goes into the object.

use serde_json::{Value, json};
use windlass_api::field::{Error, Path};
use windlass_api::labels::Selector;
use windlass_api::{GroupVersionKind, Status};
use windlass_machinery::tree::{child, number, put, text};
use windlass_resources::Resource;

pub(crate) const SCALE: GroupVersionKind = GroupVersionKind::of("autoscaling", "v1", "Scale");

/// Where built-in kinds, and Scale itself, have the number of replicas.
pub(crate) const REPLICAS: &str = "/spec/replicas";

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
pub(crate) fn replicas_pointer(resource: &Resource) -> &str {
    resource.scale.as_ref().map_or(REPLICAS, |paths| &paths.replicas)
}

/// The object with the scale's number of replicas.
pub(crate) fn scaled(resource: &Resource, old: &Value, scale: &Value, name: &str) -> Result<Value, Status> {
    let replicas = number(&scale["spec"], "replicas");
    // Of a custom resource, its own validation speaks.
    if replicas < 0 && resource.scale.is_none() {
        let spec = Path::new("spec");
        let error = Error::invalid(&spec.child("replicas"), replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", name, &error.into()));
    }
    let mut new = old.clone();
    put_replicas(resource, &mut new, replicas);
    let metadata = child(&mut new, "metadata");
    for field in ["resourceVersion", "uid"] {
        let said = text(&scale["metadata"], field).to_owned();
        if !said.is_empty() {
            put(metadata, field, said);
        }
    }
    Ok(new)
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
        let deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}}, "status": {"replicas": 2}});
        let of = |plural: &str| windlass_resources::all().into_iter().find(|r| &*r.plural == plural).unwrap();
        let deployments = of("deployments");
        let scale = scale_of(&deployments, &deployment);
        assert_eq!(
            (&scale["spec"], &scale["status"]),
            (&json!({"replicas": 3}), &json!({"replicas": 2, "selector": "a=b"}))
        );
        let controller = json!({"spec": {"selector": {"c": "d"}}});
        assert_eq!(scale_of(&of("replicationcontrollers"), &controller)["status"]["selector"], "c=d");
        let new = scaled(&deployments, &deployment, &json!({"spec": {}}), "d").unwrap();
        assert_eq!(new["spec"]["replicas"], 0);
        assert!(scaled(&deployments, &deployment, &json!({"spec": {"replicas": -1}}), "d").is_err());
    }
}
