//! What is known of a kind: the type that its schema declares.
//!
//! Source: apiserver `pkg/cel/openapi/resolver`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use windlass_api::GroupVersionKind;
use windlass_cel::{Type, declare};
use windlass_machinery::Schema;
use windlass_machinery::openapi::{Dialect, custom_schema, schemas};
use windlass_machinery::tree::{items, text};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
/// Of a schema, more is not looked at.
const DEPTH_MAX: usize = 128;

/// The type of a built-in kind; `None` if it is none. Of some kinds nothing is known.
pub(super) fn builtin_type(kind: &GroupVersionKind) -> Option<Option<Type>> {
    let schema = Schema::builtin();
    let id = Schema::object_type(&kind.group, &kind.version, &kind.kind)?;
    let all = schemas(schema, [id], Dialect::V3);
    let root = all.get(&*schema.get(id).name)?;
    Some(declared(root, &all, &kind.kind))
}

/// The type of a kind that users have defined, by its definition.
pub(super) fn custom_type(kind: &GroupVersionKind, definition: &Value) -> Option<Option<Type>> {
    let version = items(&definition["spec"], "versions").find(|version| text(version, "name") == kind.version)?;
    let root = custom_schema(version.pointer("/schema/openAPIV3Schema")?, Dialect::V3);
    let all = schemas(Schema::builtin(), Schema::builtin().find(OBJECT_META), Dialect::V3);
    Some(declared(&root, &all, &kind.kind))
}

/// The type of objects of a schema, which may refer to others.
fn declared(root: &Value, all: &BTreeMap<String, Value>, kind: &str) -> Option<Type> {
    let mut schema = Resolver { all, open: BTreeSet::new() }.node(root, DEPTH_MAX);
    schema["x-kubernetes-embedded-resource"] = json!(true);
    // Upstream's name has a number that is another each time, so that nobody depends on it.
    declare(Arc::new(schema), kind)
}

/// Puts schemas in the places that refer to them.
struct Resolver<'a> {
    all: &'a BTreeMap<String, Value>,
    /// Those that are being resolved: one of them within itself is some object.
    open: BTreeSet<&'a str>,
}

impl<'a> Resolver<'a> {
    fn node(&mut self, schema: &'a Value, depth: usize) -> Value {
        let Some(name) = reference(schema) else { return self.parts(schema, depth) };
        if !self.open.insert(name) {
            return json!({"type": "object"});
        }
        let resolved = match self.all.get(name) {
            Some(schema) => self.parts(schema, depth),
            None => json!({}),
        };
        self.open.remove(name);
        resolved
    }

    fn parts(&mut self, schema: &'a Value, depth: usize) -> Value {
        let Some(depth) = depth.checked_sub(1) else { return json!({"type": "object"}) };
        let mut resolved = Map::new();
        for (field, value) in schema.as_object().into_iter().flatten() {
            let value = match (field.as_str(), value) {
                ("description" | "allOf" | "oneOf" | "anyOf" | "not", _) => continue,
                ("properties", Value::Object(properties)) => {
                    properties.iter().map(|(name, property)| (name.clone(), self.node(property, depth))).collect()
                }
                ("items" | "additionalProperties", Value::Object(_)) => self.node(value, depth),
                ("format", Value::String(format)) if format == "int-or-string" => {
                    resolved.insert("x-kubernetes-int-or-string".to_owned(), Value::Bool(true));
                    value.clone()
                }
                _ => value.clone(),
            };
            resolved.insert(field.clone(), value);
        }
        Value::Object(resolved)
    }
}

/// The schema that another one stands for, by itself or with something to say beside.
fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
    direct?.as_str()?.rsplit('/').next()
}
