//! Reads the structural schema of a custom resource (`openAPIV3Schema` in its definition) into types.
//!
//! The types say which fields there are and how they are owned. Values are held against the rest of the schema elsewhere.
//! A schema that is not structural, which the API does not accept, is read as far as it goes.
//! Source: <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/>.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::{Field, Form, ListKind, Owned, Presence, Scalar, Schema, Shape, Type, TypeId};

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The types of the metadata, the first ones of every custom schema.
const METADATA_TYPES: [&str; 3] = ["ObjectMeta", "OwnerReference", "ManagedFieldsEntry"];
const OBJECT_META: TypeId = TypeId(0);

impl Schema {
    /// The types of a custom resource, and the one of its objects.
    pub fn custom(openapi: &Value) -> (Self, TypeId) {
        let mut reader = Reader { types: metadata_types() };
        let id = reader.structure("unstructured.Unstructured", openapi, Some(Presence::Value));
        reader.types.shrink_to_fit();
        (Self { types: reader.types, by_name: HashMap::new() }, id)
    }
}

/// The metadata of objects and what it refers to, copied from the built-in types.
fn metadata_types() -> Vec<Type> {
    let builtin = Schema::builtin();
    let copied = METADATA_TYPES.map(|name| builtin.find(&format!("{META}.{name}")));
    let place = |id| copied.iter().position(|copied| *copied == Some(id)).map(|place| TypeId(place as u32));
    let copy = |id| {
        let t = builtin.get(id);
        let fields = t.fields.iter().map(|field| Field { shape: moved(&field.shape, &place), ..field.clone() });
        Type { atomic: t.atomic, ..Type::new(t.name.clone(), fields.collect(), Form::Go) }
    };
    copied.into_iter().flatten().map(copy).collect()
}

/// A shape in which types have moved to other places.
fn moved(shape: &Shape, place: &dyn Fn(TypeId) -> Option<TypeId>) -> Shape {
    let of = |element: &Shape| Box::new(moved(element, place));
    match shape {
        Shape::Struct(id) => place(*id).map_or(Shape::Any, Shape::Struct),
        Shape::List(element) => Shape::List(of(element)),
        Shape::WrappedList(element) => Shape::WrappedList(of(element)),
        Shape::Map(element) => Shape::Map(of(element)),
        Shape::Scalar(_) | Shape::Any => shape.clone(),
    }
}

struct Reader {
    types: Vec<Type>,
}

impl Reader {
    /// An object with fields; an API object has metadata of this presence.
    fn structure(&mut self, name: &'static str, schema: &Value, metadata: Option<Presence>) -> TypeId {
        let mut fields = Vec::new();
        if let Some(presence) = metadata {
            fields.push(field("kind", Shape::Scalar(Scalar::String)));
            fields.push(field("apiVersion", Shape::Scalar(Scalar::String)));
            fields.push(Field { presence, ..field("metadata", Shape::Struct(OBJECT_META)) });
        }
        let is_servers = |name: &str| metadata.is_some() && matches!(name, "kind" | "apiVersion" | "metadata");
        for (name, property) in properties(schema).filter(|(name, _)| !is_servers(name)) {
            let default = property.get("default").filter(|value| !value.is_object() && !value.is_array());
            fields.push(Field {
                list: list_kind(property),
                owned: owned(property),
                default: default.map(|value| value.to_string().into()),
                ..field(name, self.shape(property))
            });
        }
        let form = Form::Custom { keeps_unknown: keeps_unknown(schema) };
        let atomic = owned(schema) == Owned::Atomic;
        self.types.push(Type { atomic, ..Type::new(Cow::Borrowed(name), fields, form) });
        TypeId(self.types.len() as u32 - 1)
    }

    fn shape(&mut self, schema: &Value) -> Shape {
        if is_set(schema, "x-kubernetes-int-or-string") {
            return Shape::Scalar(Scalar::IntOrString);
        }
        match schema["type"].as_str().unwrap_or_default() {
            "object" => self.object(schema),
            "array" => {
                let items = schema.get("items").filter(|items| items.is_object());
                Shape::List(Box::new(items.map_or(Shape::Any, |items| self.shape(items))))
            }
            "string" => Shape::Scalar(Scalar::String),
            "integer" => Shape::Scalar(Scalar::Int64),
            "number" => Shape::Scalar(Scalar::Double),
            "boolean" => Shape::Scalar(Scalar::Bool),
            _ => Shape::Any,
        }
    }

    fn object(&mut self, schema: &Value) -> Shape {
        if is_set(schema, "x-kubernetes-embedded-resource") {
            return Shape::Struct(self.structure("", schema, Some(Presence::Pointer)));
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(true)) => Shape::Map(Box::new(Shape::Any)),
            Some(values @ Value::Object(_)) => Shape::Map(Box::new(self.shape(values))),
            _ if keeps_unknown(schema) && properties(schema).next().is_none() => Shape::Any,
            _ => Shape::Struct(self.structure("", schema, None)),
        }
    }
}

fn field(name: &str, shape: Shape) -> Field {
    Field {
        name: Cow::Owned(name.to_owned()),
        number: 0,
        within: Vec::new(),
        shape,
        presence: Presence::Pointer,
        list: ListKind::Atomic,
        owned: Owned::ByType,
        patch: None,
        required: false,
        default: None,
        allowed: Vec::new(),
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn keeps_unknown(schema: &Value) -> bool {
    is_set(schema, "x-kubernetes-preserve-unknown-fields")
}

fn is_set(schema: &Value, extension: &str) -> bool {
    schema.get(extension) == Some(&Value::Bool(true))
}

fn list_kind(schema: &Value) -> ListKind {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => ListKind::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            ListKind::Map(keys.filter_map(Value::as_str).map(|key| key.to_owned().into()).collect())
        }
        _ => ListKind::Atomic,
    }
}

fn owned(schema: &Value) -> Owned {
    if schema["x-kubernetes-map-type"] == "atomic" { Owned::Atomic } else { Owned::ByType }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::decode;

    use super::*;

    fn decoded(openapi: &Value, object: &Value) -> Result<(Value, Vec<String>), String> {
        let (schema, id) = Schema::custom(openapi);
        let text = object.to_string();
        let decoded = decode::from_json(&schema, id, text.as_bytes()).map_err(|error| error.0)?;
        let again = decode::from_value(&schema, id, decoded.value.clone()).map_err(|error| error.0)?;
        assert_eq!(again.value, decoded.value, "what was read is read as it is");
        Ok((decoded.value, decoded.problems.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn unknown_fields_go_and_wrong_types_stay() {
        let openapi = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "n": {"type": "integer"}, "s": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "half": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"known": {"type": "object", "properties": {"a": {"type": "string"}}}}},
            "none": {"type": "object"},
        }}}});
        let same = |spec: Value| (spec.clone(), spec, vec![]);
        let cases = [
            same(json!({"n": "x", "s": 1, "list": {}, "map": []})),
            (json!({"list": {"a": 1}}), json!({"list": {}}), vec!["unknown field \"spec.list.a\""]),
            (json!({"s": [{"a": 1}, 2]}), json!({"s": [{}, 2]}), vec!["unknown field \"spec.s[0].a\""]),
            same(json!({"half": [{"a": 1}]})),
            same(json!({"n": null, "list": null})),
            same(json!({"open": {"x": [{"y": null}, 1.5]}})),
            (json!({"foo": {"x": 1}}), json!({}), vec!["unknown field \"spec.foo\""]),
            (
                json!({"list": [{"a": "x", "b": 1}]}),
                json!({"list": [{"a": "x"}]}),
                vec!["unknown field \"spec.list[0].b\""],
            ),
            (
                json!({"map": {"k": {"a": "x", "b": 1}}}),
                json!({"map": {"k": {"a": "x"}}}),
                vec!["unknown field \"spec.map.k.b\""],
            ),
            (
                json!({"half": {"x": {"y": 1}, "known": {"a": "x", "b": 1}}}),
                json!({"half": {"x": {"y": 1}, "known": {"a": "x"}}}),
                vec!["unknown field \"spec.half.known.b\""],
            ),
            (json!({"none": {"x": 1}}), json!({"none": {}}), vec!["unknown field \"spec.none.x\""]),
            (json!({"n": 1.0, "s": 1e3}), json!({"n": 1, "s": 1000}), vec![]),
        ];
        for (spec, kept, problems) in cases {
            let (value, found) = decoded(&openapi, &json!({"spec": spec})).unwrap();
            let problems: Vec<String> = problems.into_iter().map(str::to_owned).collect();
            assert_eq!((&value["spec"], found), (&kept, problems), "{spec}");
        }
    }

    #[test]
    fn metadata_is_the_servers() {
        let openapi = json!({"type": "object", "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "pattern": "x"}}},
            "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"data": {"type": "string"}}},
        }});
        let sent = json!({"metadata": {"name": "a", "labels": {}, "foo": 1}, "template": {"kind": "K", "metadata": {"bar": 1}}});
        let (value, problems) = decoded(&openapi, &sent).unwrap();
        assert_eq!(value, json!({"metadata": {"name": "a"}, "template": {"kind": "K", "metadata": {}}}));
        assert_eq!(problems, ["unknown field \"metadata.foo\"", "unknown field \"template.metadata.bar\""]);
        assert!(decoded(&openapi, &json!({"metadata": {"labels": {"a": 1}}})).is_err());
        assert!(decoded(&openapi, &json!({"template": {"metadata": "x"}})).is_err());
        assert_eq!(decoded(&openapi, &json!({})).unwrap().0, json!({"metadata": {}}));
    }

    #[test]
    fn many_fields_and_duplicates() {
        let names: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
        let properties: serde_json::Map<_, _> = names.iter().map(|n| (n.clone(), json!({"type": "integer"}))).collect();
        let (schema, id) = Schema::custom(&json!({"type": "object", "properties": properties}));
        let all: Vec<String> = names.iter().map(|name| format!("{name:?}:1")).collect();
        let text = format!("{{{},\"f7\":2}}", all.join(","));
        let decoded = decode::from_json(&schema, id, text.as_bytes()).unwrap();
        let problems: Vec<String> = decoded.problems.iter().map(ToString::to_string).collect();
        assert_eq!((problems, &decoded.value["f7"]), (vec!["duplicate field \"f7\"".to_owned()], &json!(2)));
    }

    #[test]
    fn lists_have_owners() {
        let openapi = json!({"type": "object", "properties": {"list": {"type": "array", "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["a"], "items": {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}}}});
        let (schema, id) = Schema::custom(&openapi);
        let list = schema.get(id).field("list").unwrap();
        assert_eq!(list.list, ListKind::Map(vec!["a".into()]));
        let item = schema.get(list.shape.structure().unwrap());
        assert_eq!(item.field("a").unwrap().default.as_deref(), Some("\"x\""));
    }
}
