//! OpenAPI schemas of custom resources: their authors' own, with what every object has.
//!
//! Version 2 is made for old clients, which refuse what they do not understand: where a schema says more than they know, it says less.
//! Source: apiextensions-apiserver `controller/openapi/{builder,v2}`.

use serde_json::{Map, Value, json};
use windlass_api::GroupVersionKind;

use super::Dialect;
use super::descriptions::descriptions;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// As OpenAPI names a custom kind: `com.example.v1.Cat`.
pub fn custom_name(kind: &GroupVersionKind) -> String {
    let group: Vec<&str> = kind.group.split('.').rev().collect();
    format!("{}.{}.{}", group.join("."), kind.version, kind.kind)
}

/// The schema of a custom kind's objects.
pub fn custom_schema(openapi: &Value, dialect: Dialect) -> Value {
    let keeps_unknown = is_set(openapi, "x-kubernetes-preserve-unknown-fields");
    if !openapi.is_object() || (dialect == Dialect::V2 && keeps_unknown) {
        // With any property, old clients would take all others for mistakes.
        return json!({"type": "object"});
    }
    let mut schema = openapi.clone();
    each(&mut schema, &|schema| {
        if dialect == Dialect::V2 {
            simplify(schema);
        }
    });
    each(&mut schema, &|schema| {
        add_embedded(schema, dialect);
        if dialect == Dialect::V3 && schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
            schema.entry("anyOf").or_insert_with(|| json!([{"type": "integer"}, {"type": "string"}]));
        }
    });
    add_type_meta(&mut schema, dialect);
    schema
}

/// The schema of a list of a custom kind.
pub fn custom_list(item: &GroupVersionKind, list_kind: &str, plural: &str, dialect: Dialect) -> Value {
    let mut list = json!({
        "type": "object",
        "description": format!("{list_kind} is a list of {}", item.kind),
        "required": ["items"],
        "properties": {"items": {"type": "array", "description": format!("List of {plural}."), "items": dialect.reference(&custom_name(item))}},
    });
    add_type_meta(&mut list, dialect);
    list["properties"]["metadata"] = dialect.reference(&format!("{META}.ListMeta"));
    list
}

/// Does something to a schema and to all below it, from the outermost in.
fn each(schema: &mut Value, change: &impl Fn(&mut Map<String, Value>)) {
    let Some(map) = schema.as_object_mut() else { return };
    change(map);
    for field in ["items", "additionalProperties"] {
        map.get_mut(field).into_iter().for_each(|below| each(below, change));
    }
    let properties = map.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flat_map(Map::values_mut).for_each(|below| each(below, change));
}

/// Leaves out what version 2 cannot say, or what its clients misunderstand.
fn simplify(schema: &mut Map<String, Value>) {
    for field in ["allOf", "oneOf", "anyOf", "not"] {
        schema.remove(field);
    }
    let is = |schema: &Map<String, Value>, field: &str| schema.get(field) == Some(&Value::Bool(true));
    let keeps_unknown = is(schema, "x-kubernetes-preserve-unknown-fields");
    let nullable = schema.remove("nullable") == Some(Value::Bool(true));
    if nullable || keeps_unknown {
        schema.remove("items");
        schema.remove("properties");
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_open_list = kind == "array" && !schema.contains_key("items");
    if nullable || is_open_list || (keeps_unknown && kind == "object") {
        schema.remove("type");
    }
    let of_properties = schema.get("properties").and_then(Value::as_object);
    let nullables: Vec<String> = of_properties
        .into_iter()
        .flatten()
        .filter(|(_, property)| is_set(property, "nullable"))
        .map(|(name, _)| name.clone())
        .collect();
    let has_nullable_values = schema.get("additionalProperties").is_some_and(|values| is_set(values, "nullable"));
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !has_nullable_values && !nullables.iter().any(|nullable| name == nullable));
        if required.is_empty() {
            schema.remove("required");
        }
    }
}

/// Adds what an embedded object has.
fn add_embedded(schema: &mut Map<String, Value>, dialect: Dialect) {
    let is = |field: &str| schema.get(field) == Some(&Value::Bool(true));
    if !is("x-kubernetes-embedded-resource") || (dialect == Dialect::V2 && is("x-kubernetes-preserve-unknown-fields")) {
        return;
    }
    let mut whole = Value::Object(std::mem::take(schema));
    add_type_meta(&mut whole, dialect);
    let Value::Object(mut whole) = whole else { return };
    if let Some(required) = whole.entry("required").or_insert_with(|| json!([])).as_array_mut() {
        for name in ["kind", "apiVersion"] {
            if !required.iter().any(|required| required == name) {
                required.push(json!(name));
            }
        }
    }
    *schema = whole;
}

/// Adds kind, version and metadata to an object's properties.
fn add_type_meta(schema: &mut Value, dialect: Dialect) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    // Upstream's suite looks for the first words of the version's description.
    properties["apiVersion"] =
        json!({"type": "string", "description": "APIVersion defines the group and version of the object's schema."});
    properties["kind"] = json!({"type": "string", "description": "Kind names the object's schema; servers may infer it from where the request goes."});
    let mut metadata = dialect.described_reference(&format!("{META}.ObjectMeta"));
    let of_builtin = descriptions().get("io.k8s.api.core.v1.ConfigMap").and_then(|of| of.fields.get("metadata"));
    metadata["description"] = json!(of_builtin.map_or("", String::as_str));
    properties["metadata"] = metadata;
}

fn is_set(schema: &Value, field: &str) -> bool {
    schema.get(field) == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_turn_the_group_around() {
        assert_eq!(custom_name(&GroupVersionKind::of("stable.example.com", "v1", "Cat")), "com.example.stable.v1.Cat");
    }

    #[test]
    fn version_2_says_less() {
        let openapi = json!({"type": "object", "required": ["spec", "note"], "properties": {
            "note": {"type": "string", "nullable": true},
            "spec": {"type": "object", "oneOf": [{"required": ["a"]}], "properties": {
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
                "list": {"type": "array", "items": {"type": "string"}}}}}});
        let v3 = custom_schema(&openapi, Dialect::V3);
        assert_eq!(v3["properties"]["spec"], openapi["properties"]["spec"]);
        assert_eq!(v3["required"], openapi["required"]);
        let v2 = custom_schema(&openapi, Dialect::V2);
        assert_eq!(v2["required"], json!(["spec"]));
        assert_eq!(v2["properties"]["note"], json!({}));
        let spec = json!({"type": "object", "properties": {
            "open": {"x-kubernetes-preserve-unknown-fields": true}, "list": {"type": "array", "items": {"type": "string"}}}});
        assert_eq!(v2["properties"]["spec"], spec);
        assert!(v2["properties"]["metadata"]["$ref"].as_str().unwrap().ends_with("ObjectMeta"));
    }

    #[test]
    fn open_and_absent_schemas() {
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        assert_eq!(custom_schema(&open, Dialect::V2), json!({"type": "object"}));
        assert_eq!(custom_schema(&Value::Null, Dialect::V3), json!({"type": "object"}));
        assert!(custom_schema(&open, Dialect::V3)["properties"]["metadata"].is_object());
    }

    #[test]
    fn embedded_objects_have_metadata() {
        let embedded = json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"data": {"type": "string"}}});
        let v3 = custom_schema(&json!({"type": "object", "properties": {"template": embedded}}), Dialect::V3);
        let template = &v3["properties"]["template"];
        assert_eq!(template["required"], json!(["kind", "apiVersion"]));
        assert!(template["properties"]["metadata"].is_object() && template["properties"]["data"].is_object());
    }
}
