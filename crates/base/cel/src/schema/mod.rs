//! Data with a schema: what it declares to expressions, how its JSON becomes values, and how large it may be.
//!
//! A schema is a trait, so that structural and OpenAPI schemas can stand behind it as they are; a schema in JSON is one already.
//! Types are made of it when an expression names a field, not before. The rules are upstream's: apiserver
//! `pkg/cel/common/schemas.go` and `valuesunstructured.go`.

mod declare;
mod escape;
mod json;
mod merge_key;
mod sizes;

pub use declare::declare;
pub use escape::{escape, is_identifier, unescape};
pub use sizes::{SchemaSizes, Sizes, cardinality_max};

pub(crate) use merge_key::MergeKey;

/// The `type` of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Integer,
    Boolean,
    /// There is none.
    Unspecified,
}

/// `x-kubernetes-list-type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListType {
    Atomic,
    Set,
    Map,
}

/// A schema, structural or OpenAPI: the parts of it that expressions depend on.
pub trait Schema: std::fmt::Debug + Send + Sync {
    fn kind(&self) -> Kind;
    fn format(&self) -> &str {
        ""
    }
    fn nullable(&self) -> bool {
        false
    }
    fn items(&self) -> Option<&dyn Schema> {
        None
    }
    /// Whether `properties` is there, be it empty.
    fn has_properties(&self) -> bool {
        false
    }
    fn property(&self, name: &str) -> Option<&dyn Schema>;
    fn property_names(&self) -> Vec<&str>;
    /// The schema of `additionalProperties`, if it is one.
    fn additional_properties(&self) -> Option<&dyn Schema> {
        None
    }
    fn is_required(&self, _name: &str) -> bool {
        false
    }
    fn has_default(&self) -> bool {
        false
    }
    fn max_length(&self) -> Option<i64> {
        None
    }
    fn max_items(&self) -> Option<i64> {
        None
    }
    fn max_properties(&self) -> Option<i64> {
        None
    }
    /// The length in bytes of the longest string among the values of `enum`, if there is an `enum`.
    fn longest_enum_value(&self) -> Option<usize> {
        None
    }
    fn int_or_string(&self) -> bool {
        false
    }
    /// `x-kubernetes-embedded-resource`; true also for the root of a resource, which has the same fields implied.
    fn embedded_resource(&self) -> bool {
        false
    }
    fn preserve_unknown_fields(&self) -> bool {
        false
    }
    fn list_type(&self) -> Option<ListType> {
        None
    }
    /// `x-kubernetes-list-map-keys`
    fn list_map_keys(&self) -> Vec<&str> {
        Vec::new()
    }
}

/// Returns the schema of a property, implied ones of resources included.
pub(crate) fn property_of<'a>(schema: &'a dyn Schema, is_resource: bool, name: &str) -> Option<&'a dyn Schema> {
    if let Some(implied) = is_resource.then(|| implied(name)).flatten()
        && !has_type_and_object_meta(schema)
    {
        return Some(implied);
    }
    schema.property(name)
}

/// Whether a schema declares itself what resources have in common.
fn has_type_and_object_meta(schema: &dyn Schema) -> bool {
    let is_string = |schema: &dyn Schema, name| schema.property(name).is_some_and(|s| s.kind() == Kind::String);
    is_string(schema, "kind")
        && is_string(schema, "apiVersion")
        && schema.property("metadata").is_some_and(|metadata| {
            metadata.kind() == Kind::Object && is_string(metadata, "name") && is_string(metadata, "generateName")
        })
}

/// What every resource has.
fn implied(name: &str) -> Option<&'static dyn Schema> {
    match name {
        "kind" | "apiVersion" => Some(&Implied::String),
        "metadata" => Some(&Implied::Metadata),
        _ => None,
    }
}

#[derive(Debug)]
enum Implied {
    String,
    Metadata,
}

impl Schema for Implied {
    fn kind(&self) -> Kind {
        match self {
            Self::String => Kind::String,
            Self::Metadata => Kind::Object,
        }
    }

    fn has_properties(&self) -> bool {
        matches!(self, Self::Metadata)
    }

    fn property(&self, name: &str) -> Option<&dyn Schema> {
        (self.has_properties() && matches!(name, "name" | "generateName")).then_some(&Self::String as &dyn Schema)
    }

    fn property_names(&self) -> Vec<&str> {
        if self.has_properties() { vec!["name", "generateName"] } else { Vec::new() }
    }
}
