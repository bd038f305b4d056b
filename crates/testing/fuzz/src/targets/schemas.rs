//! Schemas of CustomResourceDefinitions: what is accepted can be served, and what it defaults is valid for it.

use bytes::Bytes;
use serde_json::{Value, json};
use windlass_machinery::decode;
use windlass_machinery::schema::TypeRef;
use windlass_resources::custom;
use windlass_resources::definition::Definition;

use crate::memory::bounded_by;
use crate::object::{levels, parts};

/// Tables that are built once, patterns that are compiled, and defaults that multiply.
const BYTES_MAX: usize = 256 << 20;

/// A schema, and an object that it is held against.
pub(super) fn run(input: &[u8]) {
    let Some((schema, object)) = parts(input) else { return };
    let Ok(schema) = serde_json::from_slice::<Value>(schema) else { return };
    let object: Value = serde_json::from_slice(object).unwrap_or_else(|_| json!({"metadata": {"name": "a"}}));
    bounded_by(BYTES_MAX, || check(schema, object));
}

fn check(schema: Value, object: Value) {
    let names = json!({"plural": "as", "singular": "a", "kind": "A", "listKind": "AList"});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let mut definition = json!({
        "metadata": {"name": "as.example.com"},
        "spec": {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]},
        "status": {"acceptedNames": names, "conditions": [{"type": "NamesAccepted", "status": "True"}]},
    });
    let kinds = windlass_resources::all();
    let definitions = kinds.iter().find(|resource| &*resource.plural == "customresourcedefinitions");
    let definitions = definitions.expect("definitions are built in");
    let TypeRef { schema, id } = definitions.object_type();
    match decode::from_value(schema, id, definition) {
        Ok(decoded) => definition = decoded.value,
        Err(_) => return,
    }
    definitions.strategy.set_defaults(&mut definition);
    if !definitions.strategy.validate(&definition).is_empty() {
        return;
    }
    let bytes = Bytes::from(definition.to_string());
    let read: Definition = serde_json::from_slice(&bytes).expect("a valid definition is read");
    for resource in custom::resources(&read, &bytes) {
        let TypeRef { schema, id } = resource.object_type();
        let Ok(decoded) = decode::from_value(schema, id, object.clone()) else { continue };
        let mut object = decoded.value;
        resource.strategy.set_defaults(&mut object);
        assert!(levels(&object) <= decode::DEPTH_MAX, "defaults make {} levels", levels(&object));
        let once = object.clone();
        resource.strategy.set_defaults(&mut object);
        assert_eq!(object, once, "defaults that are set twice");
        let problems = resource.strategy.validate(&object);
        assert_eq!(problems.is_empty(), resource.strategy.validate(&object).is_empty());
        // What is as it was is valid as an update wherever it was valid.
        assert!(!problems.is_empty() || resource.strategy.validate_update(&object, &object).is_empty());
    }
}
