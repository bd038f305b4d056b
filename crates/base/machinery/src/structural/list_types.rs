//! Lists that are sets or maps: each item, or its keys, once.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/listtype/validation.go`.

use std::collections::HashMap;

use serde_json::{Map, Value};
use windlass_api::field::{Error, ErrorType, Errors, Path};

use super::compare::identity;
use super::findings::error;
use super::schema::{ListType, Structural, sorted};

impl Structural {
    /// Items that stand more than once in lists of type `set` or `map`; of each, the second is reported.
    pub fn validate_lists(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        self.lists_of(None, object, &mut errors);
        errors
    }

    pub(super) fn lists_of(&self, path: Option<&Path<'_>>, value: &Value, errors: &mut Errors) {
        if !self.holds_lists {
            return;
        }
        match (value, path) {
            (Value::Object(map), _) => {
                for (name, value) in sorted(map) {
                    if let Some(schema) = self.property(name) {
                        schema.lists_of(Some(&child(path, name)), value, errors);
                    } else if let Some(schema) = &self.additional {
                        schema.lists_of(Some(&path.unwrap_or(&ROOT).key(name)), value, errors);
                    }
                }
            }
            (Value::Array(items), Some(path)) => {
                match self.list.as_deref() {
                    Some(ListType::Set) => set(path, items, errors),
                    Some(ListType::Map(keys)) => map(path, items, keys, errors),
                    None => {}
                }
                if let Some(schema) = &self.items {
                    for (index, item) in items.iter().enumerate() {
                        schema.lists_of(Some(&path.index(index)), item, errors);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The object itself, of which `[key]` is an entry.
pub(super) const ROOT: Path<'static> = Path::new("");

/// A field of the object itself, or of one of its fields.
pub(super) fn child<'a>(path: Option<&'a Path<'a>>, name: &'a str) -> Path<'a> {
    path.map_or_else(|| Path::new(name), |path| path.child(name))
}

fn set(path: &Path<'_>, items: &[Value], errors: &mut Errors) {
    for index in seconds(items.iter().map(identity)) {
        errors.push_with(|| duplicate(&path.index(index), &items[index]));
    }
}

fn map(path: &Path<'_>, items: &[Value], keys: &[Box<str>], errors: &mut Errors) {
    if let Some((index, item)) = items.iter().enumerate().find(|(_, item)| !item.is_object() && !item.is_null()) {
        let detail = "must be an object for an array of list-type map";
        errors.push_with(|| at(ErrorType::Invalid, &path.index(index), item, detail));
        return;
    }
    let identities = items.iter().map(|item| match keys {
        [key] => item.get(&**key).map(identity).unwrap_or_default(),
        _ => identity(&keys_of(item, keys)),
    });
    for index in seconds(identities) {
        errors.push_with(|| duplicate(&path.index(index), &keys_of(&items[index], keys)));
    }
}

fn keys_of(item: &Value, keys: &[Box<str>]) -> Value {
    let present = keys.iter().filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())));
    Value::Object(present.collect::<Map<_, _>>())
}

/// The places at which something stands for the second time.
fn seconds(identities: impl Iterator<Item = String>) -> Vec<usize> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let is_second = |(place, identity)| {
        let count = counts.entry(identity).or_default();
        *count += 1;
        (*count == 2).then_some(place)
    };
    identities.enumerate().filter_map(is_second).collect()
}

fn duplicate(path: &Path<'_>, value: &Value) -> Error {
    at(ErrorType::Duplicate, path, value, "")
}

/// An error about a value, printed as Go does.
pub(super) fn at(kind: ErrorType, path: &Path<'_>, value: &Value, detail: &str) -> Error {
    error(kind, path.to_string(), Some(value), detail.to_owned())
}
