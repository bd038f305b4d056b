//! ValidatingAdmissionPolicies, whose types are checked.

use serde_json::{Value, json};
use windlass_api::ObjectKey;
use windlass_api::resource::{CUSTOM_RESOURCE_DEFINITIONS, VALIDATING_ADMISSION_POLICIES};
use windlass_client::OBJECT;

use crate::scene::{Scene, condition};

fn policy(name: &str, resource: [&str; 2], validations: Value) -> Value {
    let rule = json!({"operations": ["CREATE"], "apiGroups": [resource[0]], "apiVersions": ["v1"], "resources": [resource[1]]});
    json!({"metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": validations}})
}

/// The warnings about a generation of a policy: fields with what is said of them.
async fn warnings(scene: &Scene, name: &str, generation: i64) -> Vec<(String, String)> {
    let is_checked = |policy: &Value| policy["status"]["observedGeneration"] == generation;
    let key = ObjectKey::new("", name);
    let policy = scene.cluster.until(&VALIDATING_ADMISSION_POLICIES, &key, "types to be checked", is_checked).await;
    let checking = &policy["status"]["typeChecking"];
    assert!(checking.is_object(), "{policy}");
    let all = checking["expressionWarnings"].as_array().into_iter().flatten();
    let part = |warning: &Value, field: &str| warning[field].as_str().unwrap().to_owned();
    all.map(|warning| (part(warning, "fieldRef"), part(warning, "warning"))).collect()
}

#[tokio::test(start_paused = true)]
async fn types_are_checked_once_for_each_generation() {
    let scene = Scene::with_nodes(0).await;
    let confused = json!([{"expression": "object.spec.replicas > '1'"}]);
    let policies = &VALIDATING_ADMISSION_POLICIES;
    scene.cluster.create(policies, "", policy("p", ["apps", "deployments"], confused)).await;
    let found = warnings(&scene, "p", 1).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "spec.validations[0].expression");
    assert!(found[0].1.contains("found no matching overload for '_>_' applied to '(int, string)'"), "{}", found[0].1);
    let right = json!({"spec": {"validations": [{"expression": "object.spec.replicas > 1"}]}});
    scene.cluster.patch(policies, &ObjectKey::new("", "p"), OBJECT, right).await;
    assert_eq!(warnings(&scene, "p", 2).await, []);
}

#[tokio::test(start_paused = true)]
async fn types_of_custom_resources_are_known() {
    let scene = Scene::with_nodes(0).await;
    let spec = json!({"type": "object", "properties": {"replicas": {"type": "integer"}}});
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let definition = json!({"metadata": {"name": "cats.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "cats", "kind": "Cat"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    scene.cluster.create(&CUSTOM_RESOURCE_DEFINITIONS, "", definition).await;
    let is_served = |definition: &Value| condition(definition, "Established") == "True";
    let key = ObjectKey::new("", "cats.example.com");
    scene.cluster.until(&CUSTOM_RESOURCE_DEFINITIONS, &key, "cats to be served", is_served).await;
    let validations = json!([
        {"expression": "object.spec.replicas > 1 && object.metadata.labels.size() > 0"},
        {"expression": "object.spec.replicas > '1'"},
        {"expression": "object.spec.maxRetries < 10"}]);
    let policies = &VALIDATING_ADMISSION_POLICIES;
    scene.cluster.create(policies, "", policy("p", ["example.com", "cats"], validations)).await;
    let found = warnings(&scene, "p", 1).await;
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["spec.validations[1].expression", "spec.validations[2].expression"]);
    assert!(found[1].1.contains("undefined field 'maxRetries'"), "{}", found[1].1);
}
