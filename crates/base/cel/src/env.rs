//! What expressions may name: variables, functions, types.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use windlass_regexp::Patterns;

use crate::functions::Registry;
use crate::library::{self, Mode};
use crate::schema::Sizes;
use crate::types::{LibraryType, Type};

/// An environment: Kubernetes' base environment, and the variables and types that are declared on top of it.
#[derive(Clone, Debug)]
pub struct Env {
    pub(crate) functions: Arc<Registry>,
    pub(crate) variables: BTreeMap<String, Type>,
    pub(crate) objects: BTreeMap<String, Type>,
    resolve: Option<fn(&str) -> Option<Type>>,
    pub(crate) sizes: Option<Arc<dyn Sizes>>,
    /// Whether there is the macro `cel.bind`.
    pub(crate) binds: bool,
    /// The constant regular expressions.
    pub(crate) patterns: Arc<Patterns>,
}

static NEW: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(library::registry(Mode::New)));
static STORED: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(library::registry(Mode::Stored)));

impl Env {
    /// The base environment of Kubernetes v1.37, without variables.
    pub fn new(mode: Mode) -> Self {
        let functions = match mode {
            Mode::New => NEW.clone(),
            Mode::Stored => STORED.clone(),
        };
        let patterns = Patterns::of_expressions();
        Self {
            functions,
            variables: BTreeMap::new(),
            objects: BTreeMap::new(),
            resolve: None,
            sizes: None,
            binds: false,
            patterns,
        }
    }

    /// Declares a variable. A dot in its name makes it one that is spelled like a selection.
    #[must_use]
    pub fn variable(mut self, name: &str, of: Type) -> Self {
        self.variables.insert(name.to_owned(), of);
        self
    }

    /// Declares an object type that expressions may construct: `name{field: value}`.
    #[must_use]
    pub fn object(mut self, of: Type) -> Self {
        self.objects.insert(of.name().to_owned(), of);
        self
    }

    /// Declares object types by a rule for their names, for there may be any number of them.
    #[must_use]
    pub fn resolver(mut self, resolve: fn(&str) -> Option<Type>) -> Self {
        self.resolve = Some(resolve);
        self
    }

    /// Adds the functions for JSON patches, which only mutating policies have.
    #[must_use]
    pub fn json_patch(mut self) -> Self {
        let mut functions = Registry::clone(&self.functions);
        functions.add(library::JSON_PATCH);
        self.functions = Arc::new(functions);
        self
    }

    /// Adds the macro `cel.bind(name, value, expression)`.
    #[must_use]
    pub fn bindings(mut self) -> Self {
        self.binds = true;
        self
    }

    /// Tells how large the data may be, for the estimates of costs.
    #[must_use]
    pub fn sizes(mut self, sizes: Arc<dyn Sizes>) -> Self {
        self.sizes = Some(sizes);
        self
    }

    /// Shares regular expressions, and the budget for them, with other environments of the same definition.
    #[must_use]
    pub fn patterns(mut self, patterns: Arc<Patterns>) -> Self {
        self.patterns = patterns;
        self
    }

    /// Returns the type that a name denotes, if it denotes one.
    pub(crate) fn named_type(&self, name: &str) -> Option<Type> {
        let parameter = Type::Parameter;
        Some(match name {
            "bool" => Type::Bool,
            "bytes" => Type::Bytes,
            "double" => Type::Double,
            "google.protobuf.Duration" => Type::Duration,
            "google.protobuf.Timestamp" => Type::Timestamp,
            "int" => Type::Int,
            "list" => Type::list(parameter('A')),
            "map" => Type::map(parameter('A'), parameter('B')),
            "null_type" => Type::Null,
            "string" => Type::String,
            "type" => Type::Type(None),
            "uint" => Type::Uint,
            "optional_type" => Type::optional(parameter('A')),
            "net.IP" => Type::Library(LibraryType::Ip),
            "net.CIDR" => Type::Library(LibraryType::Cidr),
            _ => {
                let declared = self.objects.get(name).cloned();
                return declared.or_else(|| self.resolve.and_then(|resolve| resolve(name)));
            }
        })
    }
}
