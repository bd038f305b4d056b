//! A view of the `JSONSchemaProps` in a definition: what one node says, what stands below it, and questions about whole trees.
//!
//! Schemas are canonical trees of the built-in schema, so that a field is absent or of its type. They are at most as deep as
//! anything that reaches us, and every walk here sees each node once.

use serde_json::Value;
use windlass_machinery::tree::text;

use crate::rules::{at, is_true, map_at};

/// The fields that an embedded resource has beside those of its schema.
pub(super) const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];
pub(super) const PRESERVES: &str = "x-kubernetes-preserve-unknown-fields";
pub(super) const EMBEDDED: &str = "x-kubernetes-embedded-resource";
pub(super) const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
pub(super) const LIST_TYPE: &str = "x-kubernetes-list-type";
pub(super) const LIST_MAP_KEYS: &str = "x-kubernetes-list-map-keys";
pub(super) const MAP_TYPE: &str = "x-kubernetes-map-type";
pub(super) const VALIDATIONS: &str = "x-kubernetes-validations";

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// One node of a schema.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a>(pub(super) &'a Value);

/// What `additionalProperties` says.
#[derive(Clone, Copy)]
pub(super) enum Additional<'a> {
    Bool(bool),
    Schema(Schema<'a>),
}

/// How a field of a schema holds further schemas.
enum Holds {
    /// One, or a list of them.
    Plain,
    /// A map of them.
    Map,
}

/// The fields that hold schemas, in the order in which upstream walks them.
const CHILDREN: [(&str, Holds); 11] = [
    ("items", Holds::Plain),
    ("allOf", Holds::Plain),
    ("anyOf", Holds::Plain),
    ("oneOf", Holds::Plain),
    ("not", Holds::Plain),
    ("properties", Holds::Map),
    ("additionalProperties", Holds::Plain),
    ("patternProperties", Holds::Map),
    ("additionalItems", Holds::Plain),
    ("definitions", Holds::Map),
    ("dependencies", Holds::Map),
];

impl<'a> Schema<'a> {
    /// The schema in a `CustomResourceValidation`.
    pub(super) fn of_validation(validation: &'a Value) -> Option<Self> {
        Self::within(validation, "openAPIV3Schema")
    }

    fn within(owner: &'a Value, field: &str) -> Option<Self> {
        owner.get(field).filter(|value| value.is_object()).map(Self)
    }

    /// A field that is there.
    pub(super) fn at(self, field: &str) -> Option<&'a Value> {
        at(self.0, field)
    }

    pub(super) fn text(self, field: &str) -> &'a str {
        text(self.0, field)
    }

    /// Whether a flag is set.
    pub(super) fn is(self, field: &str) -> bool {
        is_true(self.0, field)
    }

    /// The type of the values; empty when none is said.
    pub(super) fn kind(self) -> &'a str {
        self.text("type")
    }

    pub(super) fn has_known_type(self) -> bool {
        self.kind().is_empty() || TYPES.contains(&self.kind())
    }

    pub(super) fn known_types() -> &'static [&'static str] {
        &TYPES
    }

    /// `x-kubernetes-list-type`, if it is said.
    pub(super) fn list_type(self) -> Option<&'a str> {
        self.at(LIST_TYPE).and_then(Value::as_str)
    }

    /// `x-kubernetes-map-type`, if it is said.
    pub(super) fn map_type(self) -> Option<&'a str> {
        self.at(MAP_TYPE).and_then(Value::as_str)
    }

    /// The schema of all items; none when items have one each.
    pub(super) fn items(self) -> Option<Self> {
        self.child("items")
    }

    /// The schemas of the items one by one, which no definition may have.
    pub(super) fn item_list(self) -> &'a [Value] {
        self.at("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(super) fn child(self, field: &str) -> Option<Self> {
        Self::within(self.0, field)
    }

    /// A list of schemas (`allOf`, `anyOf`, `oneOf`).
    pub(super) fn list(self, field: &str) -> impl Iterator<Item = Self> {
        windlass_machinery::tree::items(self.0, field).map(Self)
    }

    /// A map of schemas.
    pub(super) fn map(self, field: &str) -> impl Iterator<Item = (&'a str, Self)> {
        map_at(self.0, field).into_iter().flatten().map(|(key, schema)| (key.as_str(), Self(schema)))
    }

    pub(super) fn properties(self) -> impl Iterator<Item = (&'a str, Self)> {
        self.map("properties")
    }

    pub(super) fn property(self, name: &str) -> Option<Self> {
        map_at(self.0, "properties")?.get(name).map(Self)
    }

    pub(super) fn has_entries(self, field: &str) -> bool {
        map_at(self.0, field).is_some_and(|map| !map.is_empty())
    }

    pub(super) fn additional_properties(self) -> Option<Additional<'a>> {
        self.at("additionalProperties").map(|value| match value {
            Value::Bool(allows) => Additional::Bool(*allows),
            schema => Additional::Schema(Self(schema)),
        })
    }

    /// Every schema that stands directly below.
    fn children(self) -> impl Iterator<Item = Self> {
        CHILDREN.iter().flat_map(move |(field, holds)| {
            let value = self.at(field);
            let (one, list, map) = match (holds, value) {
                (Holds::Plain, Some(Value::Array(list))) => (None, Some(list), None),
                (Holds::Plain, Some(value)) => (Some(value), None, None),
                (Holds::Map, Some(Value::Object(map))) => (None, None, Some(map)),
                _ => (None, None, None),
            };
            let below =
                one.into_iter().chain(list.into_iter().flatten()).chain(map.into_iter().flat_map(|m| m.values()));
            below.filter(|value| value.is_object()).map(Schema)
        })
    }

    /// Visits the schema and everything below it.
    pub(super) fn visit(self, see: &mut dyn FnMut(Self)) {
        see(self);
        self.children().for_each(|child| child.visit(see));
    }

    /// Whether something holds for the schema or anything below it.
    pub(super) fn any(self, holds: &dyn Fn(Self) -> bool) -> bool {
        holds(self) || self.children().any(|child| child.any(holds))
    }

    /// Whether values of a set's items are compared as wholes.
    pub(super) fn is_atomic_item(self) -> bool {
        match self.kind() {
            "array" => self.list_type().is_none_or(|kind| kind == "atomic"),
            "object" => self.map_type() == Some("atomic"),
            _ => true,
        }
    }

    /// Why this node cannot be a part of a structural schema, if so.
    pub(super) fn own_conversion_error(self) -> Option<&'static str> {
        self.unsupported().or_else(|| self.unsupported_shape())
    }

    /// Why the whole tree cannot be read as a structural schema, if so.
    pub(super) fn conversion_error(self) -> Option<&'static str> {
        let not = || self.child("not").and_then(Self::conversion_error);
        let list = |field| move || self.list(field).find_map(Self::conversion_error);
        self.unsupported()
            .or_else(not)
            .or_else(list("allOf"))
            .or_else(list("anyOf"))
            .or_else(list("oneOf"))
            .or_else(|| self.unsupported_shape())
            .or_else(|| self.items().and_then(Self::conversion_error))
            .or_else(|| self.properties().find_map(|(_, schema)| schema.conversion_error()))
            .or_else(|| self.child("additionalProperties").and_then(Self::conversion_error))
    }

    fn unsupported(self) -> Option<&'static str> {
        let found = [
            (!self.text("id").is_empty(), "OpenAPIV3Schema 'id' is not supported"),
            (!self.text("$schema").is_empty(), "OpenAPIV3Schema 'schema' is not supported"),
            (!self.text("$ref").is_empty(), "OpenAPIV3Schema '$ref' is not supported"),
            (self.has_entries("patternProperties"), "OpenAPIV3Schema 'patternProperties' is not supported"),
            (self.has_entries("dependencies"), "OpenAPIV3Schema 'dependencies' is not supported"),
            (self.at("additionalItems").is_some(), "OpenAPIV3Schema 'additionalItems' is not supported"),
            (self.has_entries("definitions"), "OpenAPIV3Schema 'definitions' is not supported"),
        ];
        found.into_iter().find_map(|(is, problem)| is.then_some(problem))
    }

    fn unsupported_shape(self) -> Option<&'static str> {
        if self.at(PRESERVES) == Some(&Value::Bool(false)) {
            return Some("internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined");
        }
        let is_list = !self.item_list().is_empty();
        is_list.then_some("OpenAPIV3Schema 'items' must be a schema, but is an array")
    }

    /// Whether the node says something that only structural schemas may say.
    pub(super) fn has_extensions(self) -> bool {
        let is_non_empty = |field| self.at(field).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        self.is(EMBEDDED)
            || self.is(INT_OR_STRING)
            || self.at(PRESERVES).is_some()
            || self.at(LIST_TYPE).is_some()
            || is_non_empty(LIST_MAP_KEYS)
            || is_non_empty(VALIDATIONS)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_node_is_seen_once() {
        let leaf = |name: &str| json!({"title": name});
        let tree = json!({
            "title": "root", "items": {"title": "items"}, "not": leaf("not"), "allOf": [leaf("all")], "anyOf": [leaf("any")],
            "oneOf": [leaf("one")], "properties": {"p": {"items": [leaf("first"), leaf("second")]}},
            "additionalProperties": leaf("additional"), "patternProperties": {"x": leaf("pattern")},
            "additionalItems": true, "definitions": {"d": leaf("definition")},
            "dependencies": {"a": ["b"], "c": leaf("dependency")}
        });
        let mut seen = Vec::new();
        Schema(&tree).visit(&mut |schema| seen.push(schema.text("title").to_owned()));
        let expected = [
            "root",
            "items",
            "all",
            "any",
            "one",
            "not",
            "",
            "first",
            "second",
            "additional",
            "pattern",
            "definition",
            "dependency",
        ];
        assert_eq!(seen, expected);
        assert!(Schema(&tree).any(&|schema| schema.text("title") == "dependency"));
        assert!(!Schema(&tree).any(&|schema| schema.text("title") == "nowhere"));
    }

    #[test]
    fn what_cannot_be_structural() {
        let of = |tree: Value| Schema(&tree).conversion_error().unwrap_or("");
        assert_eq!(of(json!({"properties": {"a": {"not": {"items": {"type": "string"}}}}})), "");
        assert_eq!(of(json!({"properties": {"a": {"id": "x"}}})), "OpenAPIV3Schema 'id' is not supported");
        assert_eq!(of(json!({"not": {"$ref": "x"}, "items": [{}]})), "OpenAPIV3Schema '$ref' is not supported");
        assert_eq!(of(json!({"items": [{}]})), "OpenAPIV3Schema 'items' must be a schema, but is an array");
        assert_eq!(
            of(json!({"items": [], "additionalItems": false})),
            "OpenAPIV3Schema 'additionalItems' is not supported"
        );
    }
}
