//! A structural schema as expressions and the correlation of values see it.

use std::sync::Arc;

use serde_json::Value;
use windlass_cel::{Kind, ListType, Schema};

/// The most characters of `metadata.name`.
const NAME_CHARACTERS_MAX: i64 = 253;

/// One node of a schema, read once.
///
/// A resource (the custom one, or one that is embedded in it) has `apiVersion`, `kind`, `metadata.name` and `metadata.generateName`, named
/// by its schema or not.
#[derive(Debug)]
pub(crate) struct Shape {
    kind: Kind,
    format: Box<str>,
    is_nullable: bool,
    is_int_or_string: bool,
    is_resource: bool,
    preserves_unknown_fields: bool,
    has_default: bool,
    /// Sorted by name; `None` where the schema has no `properties`.
    properties: Option<Box<[Property]>>,
    /// What a resource has of itself; these take the place of properties of the same names.
    implied: Box<[Property]>,
    additional: Option<Arc<Shape>>,
    items: Option<Arc<Shape>>,
    required: Box<[Box<str>]>,
    max_length: Option<i64>,
    max_items: Option<i64>,
    max_properties: Option<i64>,
    longest_enum_value: Option<usize>,
    list_type: Option<ListType>,
    list_keys: Box<[Box<str>]>,
    has_known_map_type: bool,
}

type Property = (Box<str>, Arc<Shape>);

impl Shape {
    /// Reads an `openAPIV3Schema`, or a node of one.
    pub(crate) fn read(schema: &Value, is_resource: bool) -> Self {
        let node: &dyn Schema = schema;
        let child = |field: &str| {
            let below = schema.get(field).filter(|below| below.is_object())?;
            Some(Arc::new(Self::read(below, is_embedded(below))))
        };
        let properties = schema.get("properties").and_then(Value::as_object).map(|properties| {
            let read = |(name, below): (&String, &Value)| {
                (Box::from(name.as_str()), Arc::new(Self::read(below, is_embedded(below))))
            };
            let mut properties: Box<[Property]> = properties.iter().map(read).collect();
            properties.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            properties
        });
        let words = |list: Vec<&str>| list.into_iter().map(Box::from).collect();
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        let map_type = schema.get("x-kubernetes-map-type").and_then(Value::as_str);
        Self {
            kind: node.kind(),
            format: node.format().into(),
            is_nullable: node.nullable(),
            is_int_or_string: node.int_or_string(),
            is_resource,
            preserves_unknown_fields: node.preserve_unknown_fields(),
            has_default: node.has_default(),
            implied: if is_resource { implied(properties.as_deref()) } else { Box::default() },
            properties,
            additional: child("additionalProperties"),
            items: child("items"),
            required: words(required.filter_map(Value::as_str).collect()),
            max_length: node.max_length(),
            max_items: node.max_items(),
            max_properties: node.max_properties(),
            longest_enum_value: node.longest_enum_value(),
            list_type: node.list_type(),
            list_keys: words(node.list_map_keys()),
            has_known_map_type: map_type.is_none_or(|kind| matches!(kind, "granular" | "atomic")),
        }
    }

    /// A named property, as expressions see it.
    pub(crate) fn field(&self, name: &str) -> Option<&Arc<Self>> {
        find(&self.implied, name).or_else(|| self.own_field(name))
    }

    /// A named property, as the schema has it.
    pub(crate) fn own_field(&self, name: &str) -> Option<&Arc<Self>> {
        find(self.properties.as_deref()?, name)
    }

    pub(crate) fn item(&self) -> Option<&Arc<Self>> {
        self.items.as_ref()
    }

    pub(crate) fn additional(&self) -> Option<&Arc<Self>> {
        self.additional.as_ref()
    }

    /// The `type`; empty where none is said.
    pub(super) fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Object => "object",
            Kind::Array => "array",
            Kind::String => "string",
            Kind::Number => "number",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::Unspecified => "",
        }
    }

    /// The keys by which the items of a list are found again; `None` for other lists than those of type `map`.
    pub(super) fn keys(&self) -> Option<&[Box<str>]> {
        let is_keyed = self.kind == Kind::Array && self.list_type == Some(ListType::Map);
        is_keyed.then_some(&*self.list_keys).filter(|keys| !keys.is_empty())
    }

    pub(super) fn is_keyed_list(&self) -> bool {
        self.list_type == Some(ListType::Map)
    }

    /// Whether fields have old values. They have none in a map of a type that nobody knows.
    pub(super) fn correlates_fields(&self) -> bool {
        self.has_known_map_type
    }

    fn string(max_length: Option<i64>) -> Arc<Self> {
        let mut shape = Self::read(&Value::Null, false);
        (shape.kind, shape.max_length) = (Kind::String, max_length);
        Arc::new(shape)
    }
}

fn is_embedded(schema: &Value) -> bool {
    let node: &dyn Schema = schema;
    node.embedded_resource()
}

fn find<'a>(properties: &'a [Property], name: &str) -> Option<&'a Arc<Shape>> {
    let place = properties.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
    Some(&properties[place].1)
}

/// The fields that a resource has of itself: none when its schema names all of them.
fn implied(properties: Option<&[Property]>) -> Box<[Property]> {
    let properties = properties.unwrap_or_default();
    let metadata = find(properties, "metadata").filter(|metadata| metadata.kind == Kind::Object);
    let is_string = |shape: Option<&Arc<Shape>>| shape.is_some_and(|shape| shape.kind == Kind::String);
    let names =
        ["generateName", "name"].map(|name| find(properties, "metadata").and_then(|shape| shape.own_field(name)));
    let has_types = ["apiVersion", "kind"].into_iter().all(|name| is_string(find(properties, name)));
    if has_types && metadata.is_some() && names.into_iter().all(is_string) {
        return Box::default();
    }
    // A generated name has at least one character more than what it begins with.
    let caps = [NAME_CHARACTERS_MAX - 1, NAME_CHARACTERS_MAX];
    let capped = |at: usize| {
        let own = names[at].and_then(|name| name.max_length);
        Shape::string(Some(own.map_or(caps[at], |own| own.min(caps[at]))))
    };
    let mut shape = Shape::read(&Value::Null, false);
    shape.kind = Kind::Object;
    shape.properties = Some([("generateName".into(), capped(0)), ("name".into(), capped(1))].into());
    [
        ("apiVersion".into(), Shape::string(None)),
        ("kind".into(), Shape::string(None)),
        ("metadata".into(), Arc::new(shape)),
    ]
    .into()
}

impl Schema for Shape {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn format(&self) -> &str {
        &self.format
    }

    fn nullable(&self) -> bool {
        self.is_nullable
    }

    fn items(&self) -> Option<&dyn Schema> {
        self.items.as_deref().map(|shape| shape as &dyn Schema)
    }

    fn has_properties(&self) -> bool {
        self.properties.is_some() || !self.implied.is_empty()
    }

    fn property(&self, name: &str) -> Option<&dyn Schema> {
        self.field(name).map(|shape| &**shape as &dyn Schema)
    }

    fn property_names(&self) -> Vec<&str> {
        let own = self.properties.as_deref().unwrap_or_default().iter();
        let own = own.filter(|(name, _)| find(&self.implied, name).is_none());
        own.chain(&self.implied).map(|(name, _)| &**name).collect()
    }

    fn additional_properties(&self) -> Option<&dyn Schema> {
        self.additional.as_deref().map(|shape| shape as &dyn Schema)
    }

    fn is_required(&self, name: &str) -> bool {
        self.required.iter().any(|required| **required == *name)
    }

    fn has_default(&self) -> bool {
        self.has_default
    }

    fn max_length(&self) -> Option<i64> {
        self.max_length
    }

    fn max_items(&self) -> Option<i64> {
        self.max_items
    }

    fn max_properties(&self) -> Option<i64> {
        self.max_properties
    }

    fn longest_enum_value(&self) -> Option<usize> {
        self.longest_enum_value
    }

    fn int_or_string(&self) -> bool {
        self.is_int_or_string
    }

    fn embedded_resource(&self) -> bool {
        self.is_resource
    }

    fn preserve_unknown_fields(&self) -> bool {
        self.preserves_unknown_fields
    }

    fn list_type(&self) -> Option<ListType> {
        self.list_type
    }

    fn list_map_keys(&self) -> Vec<&str> {
        self.list_keys.iter().map(|key| &**key).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_have_their_fields_implied() {
        let max = |schema: Value, name: &str| {
            let shape = Shape::read(&schema, true);
            shape.field("metadata").and_then(|metadata| metadata.field(name)).and_then(|name| name.max_length)
        };
        assert_eq!(max(json!({"type": "object"}), "name"), Some(253));
        assert_eq!(max(json!({"type": "object"}), "generateName"), Some(252));
        let metadata =
            |length: i64| json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": length}}});
        assert_eq!(max(json!({"properties": {"metadata": metadata(10)}}), "name"), Some(10));
        assert_eq!(max(json!({"properties": {"metadata": metadata(1000)}}), "name"), Some(253));
        let all = json!({"properties": {"kind": {"type": "string"}, "apiVersion": {"type": "string"}, "metadata":
            {"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}}});
        assert_eq!(max(all, "name"), None, "what the schema says whole is taken as it is");
        assert!(Shape::read(&json!({"type": "object"}), false).field("metadata").is_none());
    }
}
