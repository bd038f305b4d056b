//! Objects as expressions see them.

use serde_json::{Map, Value as Json};
use windlass_api::GroupVersionKind;
use windlass_cel::{Error, Fields, Value};

/// An object with its kind, which objects in hand do not say themselves.
#[derive(Debug)]
pub(super) struct Typed<'a> {
    api_version: String,
    kind: &'a str,
    object: &'a Map<String, Json>,
}

impl<'a> Typed<'a> {
    /// `None` for what is no object.
    pub(super) fn of(object: &'a Json, kind: &'a GroupVersionKind) -> Option<Self> {
        Some(Self { api_version: kind.api_version(), kind: &kind.kind, object: object.as_object()? })
    }
}

impl Fields for Typed<'_> {
    fn field(&self, name: &str) -> Option<Result<Value<'_>, Error>> {
        match name {
            "apiVersion" => Some(Ok(Value::borrowed(&self.api_version))),
            "kind" => Some(Ok(Value::borrowed(self.kind))),
            _ => self.object.get(name).map(|value| Value::from_json(value, None)),
        }
    }

    fn names(&self) -> Vec<&str> {
        let own = self.object.keys().map(String::as_str).filter(|name| !matches!(*name, "apiVersion" | "kind"));
        ["apiVersion", "kind"].into_iter().chain(own).collect()
    }
}
