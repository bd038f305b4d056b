//! Types as expressions are checked by, and how messages write them.

use std::fmt;
use std::sync::Arc;

/// The type of an expression or a variable.
#[derive(Clone, Debug)]
pub enum Type {
    /// Checked when the expression runs.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    Map(Arc<(Type, Type)>),
    Optional(Arc<Type>),
    /// The type of types; of one type, if it is known which.
    Type(Option<Arc<Type>>),
    /// A type of Kubernetes' libraries.
    Library(LibraryType),
    /// A declared object.
    Object(Arc<dyn Object>),
    /// Stands for any type in a function's declaration.
    Parameter(char),
    /// Stands for a type that checking has yet to find.
    Variable(u32),
    /// The type of what an issue was reported about.
    Error,
}

/// A declared object: its name, and the types of its fields by their (escaped) names.
///
/// Fields are asked for when an expression selects them, so a schema can back them without being walked.
pub trait Object: fmt::Debug + Send + Sync {
    /// Objects with the same name are the same type.
    fn name(&self) -> &str;
    fn field(&self, name: &str) -> Option<Type>;
}

/// The types that Kubernetes' libraries bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LibraryType {
    Url,
    Ip,
    Cidr,
    Quantity,
    Semver,
    Format,
    Authorizer,
    PathCheck,
    GroupCheck,
    ResourceCheck,
    Decision,
}

impl LibraryType {
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "kubernetes.URL",
            Self::Ip => "net.IP",
            Self::Cidr => "net.CIDR",
            Self::Quantity => "kubernetes.Quantity",
            Self::Semver => "kubernetes.Semver",
            Self::Format => "kubernetes.NamedFormat",
            Self::Authorizer => "kubernetes.authorization.Authorizer",
            Self::PathCheck => "kubernetes.authorization.PathCheck",
            Self::GroupCheck => "kubernetes.authorization.GroupCheck",
            Self::ResourceCheck => "kubernetes.authorization.ResourceCheck",
            Self::Decision => "kubernetes.authorization.Decision",
        }
    }

    /// Whether upstream declares it as an object (without fields), as opposed to an opaque type.
    /// Returns the name that upstream's own type has.
    pub(crate) fn implementation_name(self) -> &'static str {
        match self {
            Self::Url => "cel.URL",
            Self::Ip => "cel.IP",
            Self::Cidr => "cel.CIDR",
            Self::Quantity => "cel.Quantity",
            Self::Semver => "cel.Semver",
            Self::Format => "cel.Format",
            other => other.name(),
        }
    }

    pub(crate) fn is_object(self) -> bool {
        !matches!(self, Self::Ip | Self::Cidr)
    }
}

impl Type {
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    pub fn optional(value: Self) -> Self {
        Self::Optional(Arc::new(value))
    }

    pub(crate) fn of_type(of: Self) -> Self {
        Self::Type(Some(Arc::new(of)))
    }

    /// Returns the name without parameters, as `type()` and messages at run time show it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Dyn => "dyn",
            Self::Null => "null_type",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Library(library) => library.name(),
            Self::Object(object) => object.name(),
            Self::Parameter(_) => "parameter",
            Self::Variable(_) => "variable",
            Self::Error => "!error!",
        }
    }

    /// Returns the types that this one is made of.
    pub(crate) fn parameters(&self) -> [Option<&Type>; 2] {
        match self {
            Self::List(element) => [Some(element), None],
            Self::Map(map) => [Some(&map.0), Some(&map.1)],
            Self::Optional(value) => [Some(value), None],
            Self::Type(Some(of)) => [Some(of), None],
            _ => [None, None],
        }
    }

    /// Returns the same type made of other types.
    pub(crate) fn map_parameters(&self, mut change: impl FnMut(&Type) -> Type) -> Self {
        match self {
            Self::List(element) => Self::list(change(element)),
            Self::Map(map) => Self::map(change(&map.0), change(&map.1)),
            Self::Optional(value) => Self::optional(change(value)),
            Self::Type(Some(of)) => Self::of_type(change(of)),
            other => other.clone(),
        }
    }

    /// Whether both are of the same kind and name, whatever they are made of.
    pub(crate) fn is_same_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Library(a), Self::Library(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a.name() == b.name(),
            (Self::Parameter(a), Self::Parameter(b)) => a == b,
            (Self::Variable(a), Self::Variable(b)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    pub(crate) fn is_dyn_or_error(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// Whether the type is known to have a size of one.
    pub(crate) fn is_scalar(&self) -> bool {
        match self {
            Self::Bool | Self::Double | Self::Duration | Self::Int | Self::Timestamp | Self::Uint => true,
            Self::Optional(value) => value.is_scalar(),
            _ => false,
        }
    }

    /// Writes the type as upstream's descriptions do, where well-known types have long names.
    pub fn describe(&self) -> String {
        let parameters: Vec<String> = self.parameters().into_iter().flatten().map(Self::describe).collect();
        if parameters.is_empty() {
            self.name().to_owned()
        } else {
            format!("{}({})", self.name(), parameters.join(", "))
        }
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        self.is_same_kind(other) && self.parameters() == other.parameters()
    }
}

/// Writes the type as messages about expressions do.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => return f.write_str("null"),
            Self::Timestamp => return f.write_str("timestamp"),
            Self::Duration => return f.write_str("duration"),
            Self::Parameter(name) => return write!(f, "{name}"),
            Self::Variable(number) => return write!(f, "_var{number}"),
            _ => f.write_str(self.name())?,
        }
        match self.parameters() {
            [Some(first), Some(second)] => write!(f, "({first}, {second})"),
            [Some(first), None] => write!(f, "({first})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_as_messages_write_them() {
        let cases = [
            (Type::map(Type::String, Type::list(Type::Int)), "map(string, list(int))"),
            (Type::optional(Type::Timestamp), "optional_type(timestamp)"),
            (Type::of_type(Type::Null), "type(null)"),
            (Type::Type(None), "type"),
            (Type::Library(LibraryType::Ip), "net.IP"),
            (Type::Variable(3), "_var3"),
        ];
        for (value, expected) in cases {
            assert_eq!(value.to_string(), expected);
        }
        assert_eq!(Type::optional(Type::Timestamp).describe(), "optional_type(google.protobuf.Timestamp)");
    }
}
