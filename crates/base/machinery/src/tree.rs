//! Small steps on trees of JSON, so that defaulting code reads like the rule that it carries out.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use windlass_api::field::{Error, Errors, Path};

/// Reads a canonical tree as a typed structure. It fits, because the tree was made by the same API's schema; where a newer
/// schema knows more than the structures, the difference is skipped.
pub fn view<T: DeserializeOwned>(object: &Value) -> Result<T, Errors> {
    T::deserialize(object).map_err(|error| Error::internal(&Path::new(""), error.to_string()).into())
}

/// Sets a field that is absent.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.to_owned(), value.into());
    }
}

/// Sets a field that is absent or empty text.
pub fn set_text(object: &mut Value, field: &str, value: &str) {
    if text(object, field).is_empty() {
        put(object, field, value);
    }
}

/// Sets a field.
pub fn put(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(map) = object.as_object_mut() {
        map.insert(field.to_owned(), value.into());
    }
}

/// Takes a field away.
pub fn remove(object: &mut Value, field: &str) -> Option<Value> {
    object.as_object_mut().and_then(|map| map.remove(field))
}

/// Makes `field` of `object` what it is in `old`, or absent.
pub fn keep(object: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => put(object, field, value.clone()),
        None => {
            remove(object, field);
        }
    }
}

/// The text of a field; empty when it is absent or something else.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or("")
}

/// The number in a field; 0 when it is absent or something else.
pub fn number(object: &Value, field: &str) -> i64 {
    object.get(field).and_then(Value::as_i64).unwrap_or(0)
}

/// A field that is an object, made when it is absent. A tree that is no object gives a detached one.
pub fn child<'a>(object: &'a mut Value, field: &str) -> &'a mut Value {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let child = &mut object[field];
    if child.is_null() {
        *child = Value::Object(Map::new());
    }
    child
}

/// The objects of a list by their names; of several of one name, the first.
pub fn by_name<'a>(object: &'a Value, field: &str) -> HashMap<&'a str, &'a Value> {
    let mut found = HashMap::new();
    for item in items(object, field) {
        found.entry(text(item, "name")).or_insert(item);
    }
    found
}

/// The items of a list.
pub fn items<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    object.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// The items of a list, to be changed.
pub fn items_mut<'a>(object: &'a mut Value, field: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}

/// About the memory that a tree takes, in bytes, counted no further than to a bound.
pub fn weight(tree: &Value, max: usize) -> usize {
    const NODE: usize = 64;
    let mut weight = 0;
    let mut left = vec![tree];
    while let Some(value) = left.pop() {
        weight += NODE;
        match value {
            Value::String(text) => weight += text.len(),
            Value::Array(items) => left.extend(items),
            Value::Object(map) => {
                weight += map.keys().map(String::len).sum::<usize>();
                left.extend(map.values());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if weight >= max {
            return max;
        }
    }
    weight
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps() {
        let mut object = json!({"a": null, "b": "", "l": [{}, {}]});
        set(&mut object, "a", 1);
        set(&mut object, "a", 2);
        set_text(&mut object, "b", "x");
        put(child(&mut object, "c"), "d", true);
        for item in items_mut(&mut object, "l") {
            set(item, "n", 0);
        }
        assert_eq!(object, json!({"a": 1, "b": "x", "c": {"d": true}, "l": [{"n": 0}, {"n": 0}]}));
        keep(&mut object, &json!({"a": 7}), "a");
        keep(&mut object, &json!({}), "b");
        assert_eq!((number(&object, "a"), text(&object, "b")), (7, ""));
        assert_eq!(items(&object, "none").count(), 0);
    }
}
