//! What a schema declares: the type of its data.

use std::sync::Arc;

use super::escape::is_reserved;
use super::{Kind, Schema, escape, property_of, unescape};
use crate::types::{Object, Type};

/// Returns the type of data with a schema, if expressions can use it; objects get names that begin with `name`.
pub fn declare(schema: Arc<dyn Schema>, name: &str) -> Option<Type> {
    declared(&schema, Vec::new(), name.to_owned())
}

/// A step from a schema to one within it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Property(String),
    Items,
    Additional,
}

/// An object whose fields are the properties of a schema, which is found by its path from the root.
#[derive(Debug)]
struct SchemaObject {
    root: Arc<dyn Schema>,
    path: Vec<Step>,
    name: String,
    is_resource: bool,
}

pub(super) fn step<'a>(schema: &'a dyn Schema, step: &Step, is_resource: bool) -> Option<&'a dyn Schema> {
    match step {
        Step::Property(name) => property_of(schema, is_resource || schema.embedded_resource(), name),
        Step::Items => schema.items(),
        Step::Additional => schema.additional_properties(),
    }
}

fn at<'a>(root: &'a dyn Schema, path: &[Step]) -> Option<&'a dyn Schema> {
    path.iter().try_fold(root, |schema, next| step(schema, next, false))
}

fn declared(root: &Arc<dyn Schema>, path: Vec<Step>, name: String) -> Option<Type> {
    let schema = at(&**root, &path)?;
    if schema.int_or_string() {
        return Some(Type::Dyn);
    }
    let below = |last: Step| {
        let mut path = path.clone();
        path.push(last);
        path
    };
    Some(match schema.kind() {
        Kind::Array => {
            schema.items()?;
            Type::list(declared(root, below(Step::Items), format!("{name}.@idx"))?)
        }
        Kind::Object if schema.additional_properties().is_some() => {
            Type::map(Type::String, declared(root, below(Step::Additional), format!("{name}.@elem"))?)
        }
        Kind::Object => {
            let is_resource = schema.embedded_resource();
            Type::Object(Arc::new(SchemaObject { root: root.clone(), path, name, is_resource }))
        }
        Kind::String => match schema.format() {
            "byte" => Type::Bytes,
            "duration" => Type::Duration,
            "date" | "date-time" => Type::Timestamp,
            _ => Type::String,
        },
        Kind::Boolean => Type::Bool,
        Kind::Number => Type::Double,
        Kind::Integer => Type::Int,
        Kind::Unspecified => return None,
    })
}

impl SchemaObject {
    fn property(&self, escaped: &str) -> Option<Type> {
        let name = unescape(escaped).filter(|name| escape(name).as_deref() == Some(escaped))?;
        let schema = at(&*self.root, &self.path)?;
        property_of(schema, self.is_resource, &name)?;
        let field = format!("{}.{escaped}", self.name);
        if self.is_resource && schema.property(&name).is_none() {
            return implied(&name, &field);
        }
        let mut path = self.path.clone();
        path.push(Step::Property(name));
        declared(&self.root, path, field)
    }
}

/// The types of what every resource has, where the schema does not say so itself.
fn implied(name: &str, field: &str) -> Option<Type> {
    match name {
        "kind" | "apiVersion" => Some(Type::String),
        "metadata" => Some(Type::Object(Arc::new(Metadata { name: field.to_owned() }))),
        _ => None,
    }
}

/// The metadata that expressions may read of resources.
#[derive(Debug)]
struct Metadata {
    name: String,
}

impl Object for Metadata {
    fn name(&self) -> &str {
        &self.name
    }

    fn field(&self, name: &str) -> Option<Type> {
        matches!(name, "name" | "generateName").then_some(Type::String)
    }
}

impl Object for SchemaObject {
    fn name(&self) -> &str {
        &self.name
    }

    fn field(&self, name: &str) -> Option<Type> {
        // Reserved words that are fields may be selected without their escape.
        self.property(name).or_else(|| if is_reserved(name) { self.property(&format!("__{name}__")) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_types_of_their_schemas() {
        let schema = serde_json::json!({"type": "object", "properties": {
            "a-b": {"type": "integer"},
            "namespace": {"type": "string"},
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string", "format": "date"}}}},
            "map": {"type": "object", "additionalProperties": {"type": "number"}},
            "any": {"x-kubernetes-int-or-string": true},
            "unknown": {"x-kubernetes-preserve-unknown-fields": true},
            "embedded": {"type": "object", "x-kubernetes-embedded-resource": true},
        }});
        let Some(Type::Object(object)) = declare(Arc::new(schema), "self") else { panic!("no object") };
        let field = |name| object.field(name).map(|of| of.to_string());
        assert_eq!(field("a__dash__b").as_deref(), Some("int"));
        assert_eq!(field("a-b"), None);
        assert_eq!(field("namespace").as_deref(), Some("string"));
        assert_eq!(field("list").as_deref(), Some("list(self.list.@idx)"));
        assert_eq!(field("map").as_deref(), Some("map(string, double)"));
        assert_eq!(field("any").as_deref(), Some("dyn"));
        assert_eq!(field("unknown"), None);
        let Some(Type::Object(embedded)) = object.field("embedded") else { panic!("no object") };
        assert!(matches!(embedded.field("kind"), Some(Type::String)));
        let Some(Type::Object(metadata)) = embedded.field("metadata") else { panic!("no object") };
        assert!(metadata.field("name").is_some() && metadata.field("labels").is_none());
    }
}
