//! Claims as expressions see them: a field may be named by its escape (`claims.example__dot__org`), at any depth, and numbers are floats, as Go
//! decodes them.

use std::sync::Arc;

use serde_json::Value as Json;
use windlass_cel::{Error, Fields, List, Map, Value, unescape};

use super::Claims;

/// An object of claims.
#[derive(Debug)]
pub(super) struct Object(Vec<(String, Claim)>);

#[derive(Debug)]
enum Claim {
    Plain(Json),
    List(Vec<Claim>),
    Object(Object),
}

impl Object {
    pub(super) fn of(claims: &Claims) -> Self {
        Self(claims.iter().map(|(name, claim)| (name.clone(), Claim::of(claim))).collect())
    }
}

impl Claim {
    fn of(claim: &Json) -> Self {
        match claim {
            Json::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Json::Object(fields) => Self::Object(Object::of(fields)),
            plain => Self::Plain(plain.clone()),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Plain(Json::Bool(value)) => Value::Bool(*value),
            Self::Plain(Json::Number(number)) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
            Self::Plain(Json::String(text)) => Value::borrowed(text),
            Self::Plain(_) => Value::Null,
            Self::List(items) => Value::List(List::Shared(Arc::new(items.iter().map(Self::value).collect()))),
            Self::Object(object) => Value::Map(Map::Fields(object)),
        }
    }
}

impl Fields for Object {
    fn field(&self, name: &str) -> Option<Result<Value<'_>, Error>> {
        let unescaped = unescape(name);
        let name = unescaped.as_deref().unwrap_or(name);
        self.0.iter().find(|(known, _)| known == name).map(|(_, claim)| Ok(claim.value()))
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}
