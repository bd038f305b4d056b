//! Which old value a new one replaces, and whether the two are the same.
//!
//! Source: apiserver `pkg/cel/common/{equality,maplist}.go`, apiextensions-apiserver `pkg/apiserver/schema/cel/validation.go`
//! (`ratchetingOptions`).

use std::cell::OnceCell;
use std::collections::HashMap;

use serde_json::Value;
use windlass_machinery::structural::item_key;

use super::shape::Shape;

/// A new value and the old one that stood in its place, by the schema as it is written.
pub(super) struct Pair<'d> {
    shape: &'d Shape,
    new: &'d Value,
    old: &'d Value,
    is_root: bool,
    same: OnceCell<bool>,
    old_items: OnceCell<Keyed<'d>>,
}

/// What decides whether an error counts: nobody has to correct what an update has not touched.
#[derive(Clone, Copy, Default)]
pub(super) struct Ratchet<'r, 'd> {
    own: Option<&'r Pair<'d>>,
    /// Where the value itself has no old one: the next above it that has.
    above: Option<&'r Pair<'d>>,
}

/// The items of a list of type `map` by their keys; of several with the same keys, the first.
#[derive(Default)]
pub(super) struct Keyed<'a> {
    keys: &'a [Box<str>],
    items: HashMap<String, &'a Value>,
}

impl<'r, 'd> Ratchet<'r, 'd> {
    pub(super) fn of(root: &'r Pair<'d>) -> Self {
        Self { own: Some(root), above: None }
    }

    /// Whether an error of the value does not count.
    pub(super) fn forgives(&self) -> bool {
        self.own.or(self.above).is_some_and(Pair::is_same)
    }

    pub(super) fn field(&self, name: &str) -> Option<Pair<'d>> {
        self.own.filter(|pair| !(pair.is_root && is_type(name))).and_then(|pair| pair.field(name))
    }

    pub(super) fn item(&self, item: &'d Value) -> Option<Pair<'d>> {
        self.own.and_then(|pair| pair.item(item))
    }

    /// The ratchet of an item or of a field, whose pair the caller keeps.
    pub(super) fn below<'b>(&self, name: Option<&str>, part: Option<&'b Pair<'d>>) -> Ratchet<'b, 'd>
    where
        'r: 'b,
    {
        match self.own {
            None => *self,
            // Both versions of an object are shown as of one apiVersion and kind.
            Some(pair) if pair.is_root && name.is_some_and(is_type) => Ratchet::default(),
            Some(pair) => Ratchet { own: part, above: Some(pair) },
        }
    }
}

fn is_type(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind")
}

impl<'d> Pair<'d> {
    /// Two versions of a resource.
    pub(super) fn root(shape: &'d Shape, new: &'d Value, old: &'d Value) -> Self {
        Self { is_root: true, ..Self::new(shape, new, old) }
    }

    fn new(shape: &'d Shape, new: &'d Value, old: &'d Value) -> Self {
        Self { shape, new, old, is_root: false, same: OnceCell::new(), old_items: OnceCell::new() }
    }

    fn field(&self, name: &str) -> Option<Self> {
        let (new, old) = (self.new.as_object()?.get(name)?, self.old.as_object()?.get(name)?);
        let shape = self.shape.own_field(name).or_else(|| self.shape.additional())?;
        Some(Self::new(shape, new, old))
    }

    /// An item of the new value, with the old one of the same keys.
    fn item(&self, item: &'d Value) -> Option<Self> {
        let old = self.old_items.get_or_init(|| Keyed::of(self.shape, Some(self.old))).find(item)?;
        Some(Self::new(self.shape.item()?, item, old))
    }

    /// Whether the new value is what the old one was. One with a field that the schema does not name never is.
    fn is_same(&self) -> bool {
        *self.same.get_or_init(|| match (self.new, self.old) {
            (Value::Array(new), Value::Array(old)) if !self.shape.is_keyed_list() => new == old,
            (Value::Array(new), Value::Array(old)) => {
                new.len() == old.len() && new.iter().all(|item| self.item(item).is_some_and(|item| item.is_same()))
            }
            (Value::Object(new), Value::Object(old)) => {
                // The types of a resource are not among the fields that are stored.
                let knows_types =
                    !self.is_root || ["apiVersion", "kind"].iter().all(|n| self.shape.own_field(n).is_some());
                let is_same = |name: &String| self.field(name).is_some_and(|field| field.is_same());
                knows_types && new.len() == old.len() && new.keys().all(is_same)
            }
            (new, old) => new == old,
        })
    }
}

impl<'a> Keyed<'a> {
    /// Of a list of another type there are none.
    pub(super) fn of(shape: &'a Shape, list: Option<&'a Value>) -> Self {
        let (Some(keys), Some(Value::Array(list))) = (shape.keys(), list) else { return Self::default() };
        let mut items = HashMap::with_capacity(list.len());
        for item in list {
            if let Some(key) = item_key(item, keys) {
                items.entry(key).or_insert(item);
            }
        }
        Self { keys, items }
    }

    /// The item that has the keys of another.
    pub(super) fn find(&self, item: &Value) -> Option<&'a Value> {
        if self.items.is_empty() {
            return None;
        }
        self.items.get(&item_key(item, self.keys)?).copied()
    }
}
