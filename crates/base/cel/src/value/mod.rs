//! Values: what expressions compute. They borrow from the data and from the program, and share what was made on the way.

mod compare;
mod convert;
mod display;
mod equal;
mod from_json;
mod json;
mod list;
mod map;
mod merging;

use std::sync::Arc;

pub use list::List;
pub use map::{Fields, Map, Pairs};

pub(crate) use display::double_shortest;
pub(crate) use list::index_of;
pub(crate) use merging::{added, contains};

use crate::kinds::authorizer::Check;
use crate::kinds::{
    cidr::Cidr, named_format::NamedFormat, quantity::QuantityValue, semver::Semver, timestamp::Timestamp, url::Url,
};

/// How deep data can nest that reaches us.
pub(crate) const JSON_DEPTH_MAX: u32 = 128;

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Text<'a>),
    Bytes(Octets<'a>),
    Timestamp(Timestamp),
    /// In nanoseconds.
    Duration(i64),
    List(List<'a>),
    Map(Map<'a>),
    /// A type, by its name.
    Type(Text<'a>),
    Optional(Option<Arc<Value<'a>>>),
    /// A constructed object.
    Object(Arc<Constructed<'a>>),
    /// A value of one of Kubernetes' libraries.
    Library(Arc<Opaque>),
    /// A step on the way to an authorizer's decision.
    Check(Arc<Check<'a>>),
    /// Data that its schema says nothing about; it can only be compared.
    Unknown(&'a serde_json::Value),
}

/// A string, of the data or made on the way.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    Borrowed(&'a str),
    Shared(Arc<str>),
}

/// Bytes, of the program or made on the way.
#[derive(Clone, Debug)]
pub enum Octets<'a> {
    Borrowed(&'a [u8]),
    Shared(Arc<[u8]>),
}

/// A constructed object: `name{field: value}`.
#[derive(Clone, Debug)]
pub struct Constructed<'a> {
    pub(crate) name: Arc<str>,
    pub(crate) fields: Vec<(Arc<str>, Value<'a>)>,
    pub(crate) depth: u32,
}

/// A value of a library's own type.
#[derive(Debug)]
pub enum Opaque {
    Url(Url),
    Ip(std::net::IpAddr),
    Cidr(Cidr),
    Quantity(QuantityValue),
    Semver(Semver),
    Format(&'static NamedFormat),
}

impl Text<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl Octets<'_> {
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Constructed<'_> {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the fields that were given, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value<'_>)> {
        self.fields.iter().map(|(name, value)| (&**name, value))
    }
}

impl<'a> Value<'a> {
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(Text::Shared(text.into()))
    }

    pub fn borrowed(text: &'a str) -> Self {
        Self::String(Text::Borrowed(text))
    }

    pub(crate) fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Bytes(Octets::Shared(bytes.into()))
    }

    pub(crate) fn list(values: Vec<Value<'a>>) -> Self {
        Self::List(List::Shared(Arc::new(values.into_iter().collect())))
    }

    pub(crate) fn some(value: Value<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    pub(crate) fn library(opaque: Opaque) -> Self {
        Self::Library(Arc::new(opaque))
    }

    pub(crate) fn type_named(name: &str) -> Self {
        Self::Type(Text::Shared(name.into()))
    }

    /// Returns the name of the value's type, as messages show it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Object(object) => &object.name,
            Self::Library(opaque) => opaque.kind().name(),
            Self::Check(check) => check.kind().name(),
            Self::Unknown(_) => "unknown",
        }
    }

    /// Returns the name that upstream's own types have, which some messages show.
    pub(crate) fn implementation_name(&self) -> &str {
        match self {
            Self::Null => "types.Null",
            Self::Bool(_) => "types.Bool",
            Self::Int(_) => "types.Int",
            Self::Uint(_) => "types.Uint",
            Self::Double(_) => "types.Double",
            Self::String(_) => "types.String",
            Self::Bytes(_) => "types.Bytes",
            Self::Timestamp(_) => "types.Timestamp",
            Self::Duration(_) => "types.Duration",
            Self::Type(_) => "*types.Type",
            Self::Optional(_) => "*types.Optional",
            Self::Library(opaque) => opaque.kind().implementation_name(),
            other => other.type_name(),
        }
    }

    /// Returns how many values nest in each other, at most: what is walked and dropped by recursion must have a bound.
    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::List(list) => 1 + list.depth(),
            Self::Map(map) => 1 + map.depth(),
            Self::Optional(Some(value)) => 1 + value.depth(),
            Self::Object(object) => 1 + object.depth,
            _ => 0,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Returns the same value without what it borrows; nothing if it is data.
    pub(crate) fn into_static(self) -> Option<Value<'static>> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::Double(value) => Value::Double(value),
            Self::String(text) => Value::string(text.as_str()),
            Self::Bytes(bytes) => Value::bytes(bytes.as_bytes()),
            Self::Timestamp(at) => Value::Timestamp(at),
            Self::Duration(nanos) => Value::Duration(nanos),
            Self::Type(name) => Value::type_named(name.as_str()),
            Self::Library(opaque) => Value::Library(opaque),
            Self::Optional(None) => Value::Optional(None),
            Self::Optional(Some(value)) => Value::some(Value::clone(&value).into_static()?),
            Self::List(list) => {
                let values = list.iter().map(|value| value.ok()?.into_static()).collect::<Option<_>>()?;
                Value::list(values)
            }
            Self::Map(map) => {
                // Not by key: what is no key may be written as one, and is never found.
                let entries = match &map {
                    Map::Shared(pairs) => &**pairs,
                    Map::Borrowed(pairs) => pairs,
                    Map::Json { .. } | Map::Fields(_) => return None,
                };
                let mut pairs = Pairs::default();
                for (key, value) in entries.iter() {
                    pairs.insert(key.clone().into_static()?, value.clone().into_static()?);
                }
                Value::Map(Map::Shared(Arc::new(pairs)))
            }
            Self::Object(_) | Self::Check(_) | Self::Unknown(_) => return None,
        })
    }

    /// Returns what `size()` says, for what has a size.
    pub(crate) fn size(&self) -> Option<u64> {
        Some(match self {
            Self::String(text) => text.as_str().chars().count() as u64,
            Self::Bytes(bytes) => bytes.as_bytes().len() as u64,
            Self::List(list) => list.len() as u64,
            Self::Map(map) => map.len() as u64,
            _ => return None,
        })
    }
}

impl Opaque {
    pub(crate) fn kind(&self) -> crate::types::LibraryType {
        use crate::types::LibraryType;
        match self {
            Self::Url(_) => LibraryType::Url,
            Self::Ip(_) => LibraryType::Ip,
            Self::Cidr(_) => LibraryType::Cidr,
            Self::Quantity(_) => LibraryType::Quantity,
            Self::Semver(_) => LibraryType::Semver,
            Self::Format(_) => LibraryType::Format,
        }
    }
}
