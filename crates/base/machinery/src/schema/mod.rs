//! What is known of each type of object: its fields, how they are written on the wire, and how they merge.
//!
//! The built-in types come from `types.txt`, which `cargo xtask facts` derives from upstream's Go types; the types of custom
//! resources are read from their definitions into the same structures ([`Schema::custom`]). Everything generic (codecs, pruning,
//! patches, server-side apply, OpenAPI) works from a [`Schema`] alone and knows no kind by name.

mod custom;
mod table;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

pub use table::TableError;

/// A set of types that refer to each other.
#[derive(Debug, Default)]
pub struct Schema {
    types: Vec<Type>,
    by_name: HashMap<Cow<'static, str>, TypeId>,
}

/// A type's place in its [`Schema`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// A structure: an object with known fields.
#[derive(Debug)]
pub struct Type {
    /// As OpenAPI names it: `io.k8s.api.core.v1.Pod`.
    pub name: Cow<'static, str>,
    /// In the order of their declaration; inlined structures are spread out.
    pub fields: Vec<Field>,
    /// Structures that are inlined in JSON but are messages of their own in protobuf: number and type.
    pub inlined: Vec<(u32, TypeId)>,
    /// The object has one owner as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    pub form: Form,
    /// Indices into `fields`, sorted by name.
    by_name: Vec<u32>,
    /// Indices into `fields` of those that are written even when nobody has set them.
    always: Vec<u32>,
}

/// How objects of a type are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As Go reads its structures: null is absence, and a value of another type than the field's is refused.
    Go,
    /// As custom resources are read: null and values of other types are kept, since validation speaks of them.
    Custom {
        /// Fields that the type does not have are kept too (`x-kubernetes-preserve-unknown-fields`).
        keeps_unknown: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: Cow<'static, str>,
    /// The protobuf field number; 0 where the field has none (`kind` and `apiVersion` travel in the envelope).
    pub number: u32,
    /// The numbers of the inlined messages that hold the field in protobuf, the outermost first.
    pub within: Vec<u32>,
    pub shape: Shape,
    pub presence: Presence,
    pub list: ListKind,
    pub owned: Owned,
    pub patch: Option<PatchStrategy>,
    pub required: bool,
    /// The default that OpenAPI shows, as JSON.
    pub default: Option<Cow<'static, str>>,
    pub allowed: Vec<Cow<'static, str>>,
}

/// How a map or structure is owned (`x-kubernetes-map-type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owned {
    /// As its type says.
    #[default]
    ByType,
    /// As a whole.
    Atomic,
    /// By its fields, also where its type is atomic.
    Granular,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Scalar(Scalar),
    /// A structure.
    Struct(TypeId),
    List(Box<Shape>),
    /// A list that is a message of its own in protobuf, with the one field `items`.
    WrappedList(Box<Shape>),
    /// A map from strings.
    Map(Box<Shape>),
    /// Any value: objects are owned by their entries, everything else as a whole.
    Any,
}

/// A type and the schema that it lives in.
#[derive(Clone, Copy, Debug)]
pub struct TypeRef<'a> {
    pub schema: &'a Schema,
    pub id: TypeId,
}

/// Leaves, and the few types whose JSON form differs from their fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    String,
    Int32,
    Int64,
    Bool,
    Double,
    /// base64 in JSON.
    Bytes,
    Time,
    MicroTime,
    Duration,
    Quantity,
    IntOrString,
    /// Any JSON object (`runtime.RawExtension`).
    Raw,
    /// Any JSON value.
    Json,
    /// The set of fields in `managedFields`.
    Fields,
    /// JSONSchemaProps, or a boolean, a list of them, a list of strings.
    SchemaOrBool,
    SchemaOrArray,
    SchemaOrStrings,
}

/// When a field is written although the client has not set it, or left out although it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A plain value: zero and empty are as good as absent and are left out; a structure is always written.
    Value,
    /// A plain value that is always written, as null if it is a list or a map.
    AlwaysValue,
    /// Absent and zero are different things.
    Pointer,
    /// As `Pointer`, and written as null when absent.
    AlwaysPointer,
    /// A structure or time that is left out when it is empty.
    OmitZero,
}

/// How lists merge in server-side apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    Atomic,
    Set,
    /// Associative, by the values of these fields.
    Map(Vec<Cow<'static, str>>),
}

/// How lists and structures merge in a strategic merge patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists merge (by `merge_key`, or as sets) instead of being replaced.
    pub merge: bool,
    /// The structure is replaced instead of being merged.
    pub replace: bool,
    /// Keys that the patch does not list in `$retainKeys` are cleared.
    pub retain_keys: bool,
    pub merge_key: Option<Cow<'static, str>>,
}

impl Schema {
    /// The built-in types. Read once for each process, in about a millisecond.
    pub fn builtin() -> &'static Self {
        static BUILTIN: OnceLock<Schema> = OnceLock::new();
        BUILTIN.get_or_init(|| {
            table::parse(include_str!("types.txt")).expect("a test reads the table that is compiled in")
        })
    }

    pub fn find(&self, name: &str) -> Option<TypeId> {
        self.by_name.get(name).copied()
    }

    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    pub fn types(&self) -> impl Iterator<Item = (TypeId, &Type)> {
        self.types.iter().enumerate().map(|(index, t)| (TypeId(index as u32), t))
    }

    /// The built-in type of objects of a kind: the group as in `apiVersion` without its domain's host.
    pub fn object_type(group: &str, version: &str, kind: &str) -> Option<TypeId> {
        let builtin = Self::builtin();
        let package = match group {
            "" => "core",
            "flowcontrol.apiserver.k8s.io" => "flowcontrol",
            "rbac.authorization.k8s.io" => "rbac",
            _ => group.strip_suffix(".k8s.io").unwrap_or(group),
        };
        builtin
            .find(&format!("io.k8s.api.{package}.{version}.{kind}"))
            .or_else(|| match group {
                "apiextensions.k8s.io" => {
                    builtin.find(&format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}"))
                }
                "apiregistration.k8s.io" => {
                    builtin.find(&format!("io.k8s.kube-aggregator.pkg.apis.apiregistration.{version}.{kind}"))
                }
                _ => None,
            })
            .or_else(|| builtin.find(&format!("io.k8s.apimachinery.pkg.apis.meta.{version}.{kind}")))
    }
}

impl Type {
    fn new(name: Cow<'static, str>, fields: Vec<Field>, form: Form) -> Self {
        let count = fields.len() as u32;
        let mut by_name: Vec<u32> = (0..count).collect();
        by_name.sort_by(|a, b| fields[*a as usize].name.cmp(&fields[*b as usize].name));
        let always = (0..count).filter(|index| fields[*index as usize].is_always_written()).collect();
        Self { name, fields, inlined: Vec::new(), atomic: false, form, by_name, always }
    }

    /// Whether fields that the type does not have are kept.
    pub fn keeps_unknown(&self) -> bool {
        self.form == Form::Custom { keeps_unknown: true }
    }

    pub fn field(&self, name: &str) -> Option<&Field> {
        self.position(name).map(|place| &self.fields[place])
    }

    /// A field's place in `fields`.
    pub fn position(&self, name: &str) -> Option<usize> {
        let found = self.by_name.binary_search_by(|index| (*self.fields[*index as usize].name).cmp(name)).ok()?;
        Some(self.by_name[found] as usize)
    }

    /// The fields that are written even when nobody has set them.
    pub fn always_written(&self) -> impl Iterator<Item = &Field> {
        self.always.iter().map(|index| &self.fields[*index as usize])
    }

    /// The type's bare name: `Pod`.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}

impl Field {
    fn is_always_written(&self) -> bool {
        match self.presence {
            Presence::AlwaysValue | Presence::AlwaysPointer => true,
            Presence::Pointer | Presence::OmitZero => false,
            // Go's encoder never takes a structure for empty, and these are structures in Go.
            Presence::Value => match self.shape {
                Shape::Struct(_) => true,
                Shape::List(_) | Shape::WrappedList(_) | Shape::Map(_) | Shape::Any => false,
                Shape::Scalar(scalar) => matches!(
                    scalar,
                    Scalar::Time
                        | Scalar::MicroTime
                        | Scalar::Duration
                        | Scalar::Quantity
                        | Scalar::IntOrString
                        | Scalar::Raw
                ),
            },
        }
    }
}

impl Shape {
    /// The shape of a list's items or a map's values.
    pub fn element(&self) -> Option<&Self> {
        match self {
            Self::List(element) | Self::WrappedList(element) | Self::Map(element) => Some(element),
            Self::Scalar(_) | Self::Struct(_) | Self::Any => None,
        }
    }

    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_) | Self::WrappedList(_))
    }

    /// The structure that this is, or that its elements are.
    pub fn structure(&self) -> Option<TypeId> {
        match self {
            Self::Struct(id) => Some(*id),
            Self::Scalar(_) | Self::Any => None,
            _ => self.element().and_then(Self::structure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_types_and_fields() {
        let schema = Schema::builtin();
        let pod = schema.get(Schema::object_type("", "v1", "Pod").unwrap());
        let Shape::Struct(spec) = pod.field("spec").unwrap().shape else { panic!("spec is no structure") };
        let containers = schema.get(spec).field("containers").unwrap();
        assert_eq!(containers.number, 2);
        assert_eq!(containers.list, ListKind::Map(vec!["name".into()]));
        assert_eq!(containers.presence, Presence::AlwaysValue);
        let patch = containers.patch.as_ref().unwrap();
        assert_eq!((patch.merge, patch.merge_key.as_deref()), (true, Some("name")));
        assert!(pod.field("nonsense").is_none());
    }

    #[test]
    fn spreads_out_inlined_structures() {
        let schema = Schema::builtin();
        let volume = schema.get(schema.find("io.k8s.api.core.v1.Volume").unwrap());
        assert_eq!(volume.field("emptyDir").unwrap().within, [2]);
        assert_eq!(volume.inlined.len(), 1);
    }

    #[test]
    fn knows_every_group() {
        for (group, version, kind) in [
            ("apps", "v1", "Deployment"),
            ("rbac.authorization.k8s.io", "v1", "Role"),
            ("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema"),
            ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
            ("apiregistration.k8s.io", "v1", "APIService"),
            ("events.k8s.io", "v1", "Event"),
            ("", "v1", "Status"),
        ] {
            assert!(Schema::object_type(group, version, kind).is_some(), "{group}/{version} {kind}");
        }
    }
}
