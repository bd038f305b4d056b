//! What expressions may name.

use std::sync::Arc;

use windlass_regexp::Patterns;

use super::patch;
use super::types;
use super::variable;
use crate::env::Env;
use crate::library::Mode;
use crate::types::{LibraryType, Type};

/// Which variables there are beside those that every expression has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declarations {
    /// `params`: the policy has a kind of parameters.
    pub params: bool,
    /// `authorizer` and `authorizer.requestResource`.
    pub authorizer: bool,
}

/// What the expressions of one policy or webhook may name. Variables of a policy are added in their order, and see those before them.
#[derive(Debug)]
pub struct Environment {
    /// `None` where there is no `variables` at all.
    variables: Option<Arc<types::Variables>>,
    /// The constant regular expressions of the policy, or of all webhooks of a configuration.
    patterns: Arc<Patterns>,
}

impl Environment {
    /// For the match conditions of a webhook.
    pub fn of_webhook(patterns: Arc<Patterns>) -> Self {
        Self { variables: None, patterns }
    }

    /// For a policy, which has variables of its own.
    pub fn of_policy(patterns: Arc<Patterns>) -> Self {
        Self { variables: Some(Arc::default()), patterns }
    }

    /// Adds a variable of the policy; of a type that is not known when its expression does not compile.
    pub fn add(&mut self, name: &str, of: Option<&Type>) {
        self.variables.get_or_insert_default().add(name, of.map_or(Type::Dyn, plain));
    }

    /// The names as an expression sees them now.
    pub fn env(&self, mode: Mode, declarations: Declarations) -> Env {
        let mut env = Env::new(mode)
            .patterns(self.patterns.clone())
            .variable(variable::OBJECT, Type::Dyn)
            .variable(variable::OLD_OBJECT, Type::Dyn)
            .variable(variable::NAMESPACE, types::NAMESPACE.clone())
            .variable(variable::REQUEST, types::REQUEST.clone());
        if declarations.params {
            env = env.variable(variable::PARAMS, Type::Dyn);
        }
        if declarations.authorizer {
            env = env
                .variable(variable::AUTHORIZER, Type::Library(LibraryType::Authorizer))
                .variable(variable::REQUEST_RESOURCE, Type::Library(LibraryType::ResourceCheck));
        }
        match &self.variables {
            Some(variables) => env.variable(variable::VARIABLES, Type::Object(variables.clone())),
            None => env,
        }
    }
}

/// What is known of the objects that a policy is about, and of its parameters, where types are checked.
#[derive(Clone, Debug, Default)]
pub struct KnownTypes {
    pub object: Option<Type>,
    pub params: Option<Type>,
}

impl Environment {
    /// The names of a policy's expressions with the types that are known of them. Upstream leaves `authorizer.requestResource` out.
    pub fn typed_env(&self, declarations: Declarations, known: &KnownTypes) -> Env {
        let of = |known: &Option<Type>| known.clone().unwrap_or(Type::Dyn);
        let mut env = self
            .env(Mode::Stored, Declarations { params: false, authorizer: false })
            .variable(variable::OBJECT, of(&known.object))
            .variable(variable::OLD_OBJECT, of(&known.object));
        if declarations.params {
            env = env.variable(variable::PARAMS, of(&known.params));
        }
        if declarations.authorizer {
            env = env.variable(variable::AUTHORIZER, Type::Library(LibraryType::Authorizer));
        }
        env
    }

    /// The names for expressions that make patches: with objects of any structure, and JSON patches.
    pub fn patch_env(&self, mode: Mode, declarations: Declarations) -> Env {
        self.env(mode, declarations).resolver(patch::resolve).json_patch()
    }
}

/// The type that a variable has for those who use it: objects and values of libraries are checked when an expression runs.
fn plain(of: &Type) -> Type {
    match of {
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => of.clone(),
        Type::List(element) => Type::list(plain(element)),
        Type::Map(map) => Type::map(plain(&map.0), plain(&map.1)),
        _ => Type::Dyn,
    }
}
