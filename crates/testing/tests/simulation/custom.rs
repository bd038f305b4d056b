//! A kind that users define, and take away again while others use it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use windlass_api::condition;
use windlass_api::resource::CUSTOM_RESOURCE_DEFINITIONS;
use windlass_api::{GroupVersionResource, ObjectKey};
use windlass_store::Range;

use crate::world::{World, key_of};

pub(crate) const WIDGETS: GroupVersionResource = GroupVersionResource::of("sim.example.com", "v1", "widgets");
/// How many of them a quota counts.
pub(crate) const COUNTED: &str = "count/widgets.sim.example.com";
const TABLE: &str = "widgets.sim.example.com";

pub(crate) fn definition_key() -> ObjectKey {
    ObjectKey::new("", TABLE)
}

pub(crate) fn definition() -> Value {
    let size = json!({"type": "integer", "minimum": 0, "default": 1});
    let rule = json!({"rule": "self.size >= oldSelf.size", "message": "widgets only grow"});
    let spec = json!({"type": "object", "properties": {"size": size}, "default": {"size": 1}, "x-kubernetes-validations": [rule]});
    let version = json!({"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}});
    json!({"metadata": {"name": TABLE}, "spec": {"group": "sim.example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"}, "versions": [version]}})
}

/// A ConfigMap that goes when its widget does.
pub(crate) fn owned_by(widget: &Value) -> Value {
    let metadata = &widget["metadata"];
    let owner =
        json!({"apiVersion": "sim.example.com/v1", "kind": "Widget", "name": metadata["name"], "uid": metadata["uid"]});
    let name = format!("of-{}", metadata["name"].as_str().unwrap_or_default());
    json!({"metadata": {"name": name, "ownerReferences": [owner]}})
}

/// The widgets that there are; none without their definition.
pub(crate) async fn widgets(world: &World) -> Vec<Value> {
    let list = world.cluster.admin.list(&WIDGETS, "", windlass_client::Options::default()).await;
    list.map(|list| list.items.iter().map(|item| item.decode().unwrap()).collect()).unwrap_or_default()
}

/// A definition that is there is served and does not wait to go; one that has gone has left nothing behind.
pub(crate) async fn problems(world: &World, now: &BTreeMap<String, Vec<Value>>) -> Vec<String> {
    let mut problems = Vec::new();
    let definitions = now.get(&CUSTOM_RESOURCE_DEFINITIONS.to_string()).map_or(&[][..], Vec::as_slice);
    for definition in definitions {
        let established = condition::is_true(condition::list(&definition["status"]), "Established");
        if !established || definition["metadata"]["deletionTimestamp"].is_string() {
            problems.push(format!("definition {}: {}", key_of(definition), definition["status"]));
        }
        if let Err(status) = world.cluster.admin.list(&WIDGETS, "", windlass_client::Options::default()).await {
            problems.push(format!("widgets are defined and not served: {status}"));
        }
    }
    let left = world.cluster.server.store().table(TABLE).state().iter(&Range::default()).count();
    if definitions.is_empty() && left > 0 {
        problems.push(format!("{left} widgets are left behind their definition"));
    }
    problems
}
