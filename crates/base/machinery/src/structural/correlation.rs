//! Which old value a new one is compared with, and whether the two are the same.
//!
//! Source: apiserver `pkg/cel/common/{equality,maplist}.go`, apiextensions-apiserver `pkg/apiserver/validation/ratcheting.go`.

use std::cell::RefCell;
use std::collections::HashMap;

use serde_json::Value;
use windlass_api::text::quoted;

use super::go_print::Num;
use super::kind::Kind;
use super::schema::Structural;

/// The old value of a new one that stands beside it.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    old: &'a Value,
}

impl<'a> Pair<'a> {
    pub(super) fn of(old: &'a Value) -> Self {
        Self { old }
    }

    /// The old value of a field which the new object has. The caller has a schema for it, or it would not ask.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        Some(Self { old: self.old.as_object()?.get(name)? })
    }
}

/// What has been found out about the pairs of one update, so that each value is compared once however deep it stands.
///
/// Values are known by their addresses: both objects stay borrowed while this is used.
#[derive(Default)]
pub(super) struct Correlation {
    same: RefCell<HashMap<*const Value, bool>>,
    /// The places of the items of old lists by their keys; of several items with the same keys, the first.
    lists: RefCell<HashMap<*const Value, HashMap<String, usize>>>,
}

impl Correlation {
    /// The old value of an item of a new list. Only lists of type `map` have such.
    pub(super) fn item<'a>(&self, schema: &Structural, item: &Value, list: Pair<'a>) -> Option<Pair<'a>> {
        let keys = schema.list_keys().filter(|keys| schema.kind == Kind::Array && !keys.is_empty())?;
        let key = item_key(item, keys)?;
        let old = list.old.as_array()?;
        let mut lists = self.lists.borrow_mut();
        let places = lists.entry(list.old).or_insert_with(|| {
            let mut places = HashMap::with_capacity(old.len());
            for (place, key) in old.iter().enumerate().filter_map(|(place, item)| Some((place, item_key(item, keys)?)))
            {
                places.entry(key).or_insert(place);
            }
            places
        });
        places.get(&key).map(|place| Pair { old: &old[*place] })
    }

    /// Whether a value is what it was.
    pub(super) fn is_same(&self, schema: &Structural, new: &Value, pair: Pair<'_>) -> bool {
        if !(new.is_object() || new.is_array()) {
            return new == pair.old;
        }
        let known = self.same.borrow().get(&std::ptr::from_ref(new)).copied();
        known.unwrap_or_else(|| {
            let same = self.compare(schema, new, pair);
            self.same.borrow_mut().insert(new, same);
            same
        })
    }

    fn compare(&self, schema: &Structural, new: &Value, pair: Pair<'_>) -> bool {
        match (new, pair.old) {
            (Value::Array(new), Value::Array(old)) => {
                if new.len() != old.len() {
                    return false;
                }
                let Some(items) = schema.items.as_deref().filter(|_| schema.list_keys().is_some()) else {
                    return new.is_empty() || schema.list_keys().is_none() && new == old;
                };
                let is_same = |item| self.item(schema, item, pair).is_some_and(|old| self.is_same(items, item, old));
                new.iter().all(is_same)
            }
            (Value::Object(new), Value::Object(old)) => {
                // A field without a schema is never known to be the same.
                let is_same = |(name, value): (&String, &Value)| {
                    let (Some(schema), Some(old)) = (schema.field(name), pair.field(name)) else { return false };
                    self.is_same(schema, value, old)
                };
                new.len() == old.len() && new.iter().all(is_same)
            }
            _ => false,
        }
    }
}

/// The keys of an item of a list of type `map`, as one text; `None` where one is missing or is no scalar.
pub fn item_key(item: &Value, keys: &[Box<str>]) -> Option<String> {
    let map = item.as_object()?;
    let mut text = String::new();
    for key in keys {
        let part = match map.get(&**key)? {
            Value::Bool(value) => value.to_string(),
            Value::String(value) => quoted(value),
            Value::Number(number) => match Num::of(number) {
                Num::Int(int) => int.to_string(),
                // As upstream has it: of several keys, floats count with six places.
                Num::Float(float) if keys.len() > 1 => format!("{float:.6}"),
                Num::Float(float) => format!("{float:?}"),
            },
            _ => return None,
        };
        text.push_str(&part);
        text.push('\0');
    }
    Some(text)
}
