//! The types of what changes an object: `Object{spec: Object.spec{replicas: 3}}` and `JSONPatch{op: "add", …}`.
//!
//! Source: apiserver `pkg/cel/mutation`.

use std::sync::Arc;

use crate::types::{Object, Type};

const OBJECT: &str = "Object";
const JSON_PATCH: &str = "JSONPatch";

/// An object, or a part of one. Nothing is known of its fields.
#[derive(Debug)]
struct Part(String);

impl Object for Part {
    fn name(&self) -> &str {
        &self.0
    }

    fn field(&self, _name: &str) -> Option<Type> {
        Some(Type::Dyn)
    }
}

/// One operation of a JSON patch.
#[derive(Debug)]
struct Operation;

impl Object for Operation {
    fn name(&self) -> &str {
        JSON_PATCH
    }

    fn field(&self, name: &str) -> Option<Type> {
        match name {
            "op" | "path" | "from" => Some(Type::String),
            "value" => Some(Type::Dyn),
            _ => None,
        }
    }
}

/// The type that a name stands for: `Object` and the parts of it, by the way to them, or `JSONPatch`.
pub(super) fn resolve(name: &str) -> Option<Type> {
    match name.strip_prefix(OBJECT) {
        Some(rest) if rest.is_empty() || rest.starts_with('.') => Some(Type::Object(Arc::new(Part(name.to_owned())))),
        _ => (name == JSON_PATCH).then(|| Type::Object(Arc::new(Operation))),
    }
}

/// The type of an apply configuration.
pub fn apply_configuration() -> Type {
    Type::Object(Arc::new(Part(OBJECT.to_owned())))
}

/// The type of a JSON patch.
pub fn json_patch() -> Type {
    Type::list(Type::Object(Arc::new(Operation)))
}
