//! The schemas of types, in the words of OpenAPI 2 or 3.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::descriptions::{Description, descriptions};
use crate::schema::{Field, ListKind, Owned, Presence, Scalar, Schema, Shape, TypeId};

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    V2,
    V3,
}

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const EXTENSIONS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";

impl Dialect {
    /// A reference to a type.
    pub fn reference(self, name: &str) -> Value {
        match self {
            Self::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Self::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }

    /// A reference with something to say beside it, which version 3 does not allow in one object.
    pub(super) fn described_reference(self, name: &str) -> Value {
        match self {
            Self::V2 => self.reference(name),
            Self::V3 => json!({"allOf": [self.reference(name)]}),
        }
    }
}

/// The schemas of some types and of all that they refer to, by name.
pub fn schemas(schema: &Schema, roots: impl IntoIterator<Item = TypeId>, dialect: Dialect) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut queue: Vec<TypeId> = roots.into_iter().collect();
    while let Some(id) = queue.pop() {
        let t = schema.get(id);
        if found.contains_key(&*t.name) {
            continue;
        }
        let mut scalars = Vec::new();
        found.insert(t.name.clone().into_owned(), structure(schema, id, dialect, &mut scalars));
        queue.extend(t.fields.iter().filter_map(|field| field.shape.structure()));
        for scalar in scalars {
            if let Some((name, definition)) = definition(scalar, dialect) {
                found.insert(name, definition);
            }
        }
    }
    found
}

fn structure(schema: &Schema, id: TypeId, dialect: Dialect, scalars: &mut Vec<Scalar>) -> Value {
    let t = schema.get(id);
    let nothing = Description::default();
    let described = descriptions().get(&*t.name).unwrap_or(&nothing);
    let mut properties = serde_json::Map::new();
    for field in &t.fields {
        let description = match (&*field.name, described.fields.get(&*field.name)) {
            (_, Some(text)) if !text.is_empty() => text.clone(),
            ("items", _) => "The objects of the list.".to_owned(),
            ("metadata", _) => "The list's metadata.".to_owned(),
            ("kind", _) => "The kind of the object; servers may infer it from where the request goes.".to_owned(),
            ("apiVersion", _) => "The group and version of the object's schema.".to_owned(),
            _ => String::new(),
        };
        properties.insert(field.name.clone().into_owned(), property(schema, field, dialect, &description, scalars));
    }
    let mut definition = json!({"type": "object"});
    let short = t.short_name();
    let text = match short.strip_suffix("List") {
        Some(item) if described.text.is_empty() => format!("{short} is a list of objects of kind {item}."),
        _ => described.text.clone(),
    };
    if !text.is_empty() {
        definition["description"] = json!(text);
    }
    if !properties.is_empty() {
        definition["properties"] = Value::Object(properties);
    }
    let required: Vec<&str> = t.fields.iter().filter(|field| field.required).map(|field| &*field.name).collect();
    if !required.is_empty() {
        definition["required"] = json!(required);
    }
    if t.atomic {
        definition["x-kubernetes-map-type"] = json!("atomic");
    }
    definition
}

fn property(schema: &Schema, field: &Field, dialect: Dialect, description: &str, scalars: &mut Vec<Scalar>) -> Value {
    let mut property = shape(schema, &field.shape, dialect, true, scalars);
    if !description.is_empty() {
        property["description"] = json!(description);
    }
    let plain = matches!(field.presence, Presence::Value | Presence::AlwaysValue | Presence::OmitZero);
    let default = match (&field.default, &field.shape) {
        (Some(text), _) => serde_json::from_str(text).ok(),
        (None, Shape::Struct(_)) if plain => Some(json!({})),
        (None, Shape::Scalar(scalar)) if field.presence == Presence::AlwaysValue => match scalar {
            Scalar::String => Some(json!("")),
            Scalar::Int32 | Scalar::Int64 => Some(json!(0)),
            Scalar::Bool => Some(json!(false)),
            _ => None,
        },
        _ => None,
    };
    // Version 2 has no place for a default beside a reference.
    if let Some(default) = default.filter(|_| dialect == Dialect::V3) {
        property["default"] = default;
    }
    if !field.allowed.is_empty() && dialect == Dialect::V3 {
        let values = json!(field.allowed);
        match property.get_mut("items") {
            Some(items) => items["enum"] = values,
            None => property["enum"] = values,
        }
    }
    match &field.list {
        ListKind::Map(keys) => {
            property["x-kubernetes-list-type"] = json!("map");
            property["x-kubernetes-list-map-keys"] = json!(keys);
        }
        ListKind::Set => property["x-kubernetes-list-type"] = json!("set"),
        ListKind::Atomic if field.shape.is_list() => property["x-kubernetes-list-type"] = json!("atomic"),
        ListKind::Atomic => {}
    }
    match field.owned {
        Owned::ByType => {}
        Owned::Atomic => property["x-kubernetes-map-type"] = json!("atomic"),
        Owned::Granular => property["x-kubernetes-map-type"] = json!("granular"),
    }
    if let Some(patch) = &field.patch {
        let strategies: Vec<&str> =
            [(patch.merge, "merge"), (patch.replace, "replace"), (patch.retain_keys, "retainKeys")]
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, s)| *s)
                .collect();
        property["x-kubernetes-patch-strategy"] = json!(strategies.join(","));
        if let Some(key) = &patch.merge_key {
            property["x-kubernetes-patch-merge-key"] = json!(key);
        }
    }
    property
}

fn shape(schema: &Schema, of: &Shape, dialect: Dialect, described: bool, scalars: &mut Vec<Scalar>) -> Value {
    let reference = |name: &str| if described { dialect.described_reference(name) } else { dialect.reference(name) };
    match of {
        Shape::Struct(id) => reference(&schema.get(*id).name),
        Shape::List(element) | Shape::WrappedList(element) => {
            json!({"type": "array", "items": shape(schema, element, dialect, false, scalars)})
        }
        Shape::Map(element) => {
            json!({"type": "object", "additionalProperties": shape(schema, element, dialect, false, scalars)})
        }
        Shape::Any => json!({}),
        Shape::Scalar(scalar) => match scalar {
            Scalar::String => json!({"type": "string"}),
            Scalar::Int32 => json!({"type": "integer", "format": "int32"}),
            Scalar::Int64 => json!({"type": "integer", "format": "int64"}),
            Scalar::Bool => json!({"type": "boolean"}),
            Scalar::Double => json!({"type": "number", "format": "double"}),
            Scalar::Bytes => json!({"type": "string", "format": "byte"}),
            named => {
                scalars.push(*named);
                definition(*named, dialect).map_or_else(|| json!({}), |(name, _)| reference(&name))
            }
        },
    }
}

/// Scalars that are types of their own: name and schema.
fn definition(scalar: Scalar, dialect: Dialect) -> Option<(String, Value)> {
    let (name, mut definition) = match scalar {
        Scalar::Time => (format!("{META}.Time"), json!({"type": "string", "format": "date-time"})),
        Scalar::MicroTime => (format!("{META}.MicroTime"), json!({"type": "string", "format": "date-time"})),
        Scalar::Duration => (format!("{META}.Duration"), json!({"type": "string"})),
        Scalar::Fields => (format!("{META}.FieldsV1"), json!({"type": "object"})),
        Scalar::Quantity => (
            "io.k8s.apimachinery.pkg.api.resource.Quantity".to_owned(),
            match dialect {
                Dialect::V2 => json!({"type": "string"}),
                Dialect::V3 => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            },
        ),
        Scalar::Raw => ("io.k8s.apimachinery.pkg.runtime.RawExtension".to_owned(), json!({"type": "object"})),
        Scalar::IntOrString => (
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString".to_owned(),
            match dialect {
                Dialect::V2 => json!({"type": "string", "format": "int-or-string"}),
                Dialect::V3 => json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            },
        ),
        Scalar::Json => (format!("{EXTENSIONS}.JSON"), json!({})),
        Scalar::SchemaOrBool => (format!("{EXTENSIONS}.JSONSchemaPropsOrBool"), json!({})),
        Scalar::SchemaOrArray => (format!("{EXTENSIONS}.JSONSchemaPropsOrArray"), json!({})),
        Scalar::SchemaOrStrings => (format!("{EXTENSIONS}.JSONSchemaPropsOrStringArray"), json!({})),
        Scalar::String | Scalar::Int32 | Scalar::Int64 | Scalar::Bool | Scalar::Double | Scalar::Bytes => return None,
    };
    if let Some(description) = descriptions().get(&name) {
        definition["description"] = json!(description.text);
    }
    Some((name, definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_and_what_it_refers_to() {
        let schema = Schema::builtin();
        let deployment = Schema::object_type("apps", "v1", "Deployment").unwrap();
        let all = schemas(schema, [deployment], Dialect::V3);
        assert!(all.contains_key("io.k8s.api.core.v1.Container"));
        assert!(all.contains_key("io.k8s.apimachinery.pkg.api.resource.Quantity"));
        let spec = &all["io.k8s.api.core.v1.PodSpec"]["properties"];
        assert_eq!(spec["containers"]["items"], Dialect::V3.reference("io.k8s.api.core.v1.Container"));
        assert_eq!(spec["containers"]["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(spec["restartPolicy"]["enum"], json!(["Always", "Never", "OnFailure"]));
        let v2 = schemas(schema, [deployment], Dialect::V2);
        let replicas = &v2["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["replicas"];
        assert_eq!((&replicas["type"], &replicas["format"]), (&json!("integer"), &json!("int32")));
        // Nothing refers to what is not there.
        for definition in all.values() {
            for reference in definition.to_string().split("#/components/schemas/").skip(1) {
                let name = reference.split('"').next().unwrap();
                assert!(all.contains_key(name), "{name} is missing");
            }
        }
    }
}
