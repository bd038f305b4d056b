//! Which fields two versions of an object differ in, and which fields an object has.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::set::FieldSet;
use crate::schema::{Field, ListKind, Owned, Schema, Shape, TypeId};

/// The fields that came, changed and went.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Difference {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

/// How a value is owned.
#[derive(Clone, Copy)]
pub(super) enum Kind<'s> {
    /// As a whole.
    Leaf,
    /// By its fields.
    Struct(&'s Schema, TypeId),
    /// By its entries.
    Map(&'s Schema, &'s Shape),
    /// By its items, which are their own names.
    Set,
    /// By its entries if it is an object, else as a whole.
    Any,
    /// By its items, which have keys.
    Keyed(&'s Schema, &'s Shape, &'s [std::borrow::Cow<'static, str>]),
}

impl<'s> Kind<'s> {
    pub(super) fn of_field(schema: &'s Schema, field: &'s Field) -> Self {
        match (field.owned, &field.shape) {
            (Owned::Atomic, _) => Self::Leaf,
            (Owned::Granular, Shape::Struct(id)) => Self::Struct(schema, *id),
            _ => Self::of_list(schema, field),
        }
    }

    /// Of a field's list, if it holds one, whoever owns it.
    pub(super) fn of_list(schema: &'s Schema, field: &'s Field) -> Self {
        match (&field.shape, &field.list) {
            (Shape::List(element) | Shape::WrappedList(element), ListKind::Map(keys)) => {
                Self::Keyed(schema, element, keys)
            }
            (Shape::List(_) | Shape::WrappedList(_), ListKind::Set) => Self::Set,
            (shape, _) => Self::of_shape(schema, shape),
        }
    }

    /// Of a map's values or a list's items.
    pub(super) fn of_shape(schema: &'s Schema, shape: &'s Shape) -> Self {
        match shape {
            Shape::Struct(id) if !schema.get(*id).atomic => Self::Struct(schema, *id),
            Shape::Map(element) => Self::Map(schema, element),
            Shape::Any => Self::Any,
            _ => Self::Leaf,
        }
    }

    /// Whether it is owned by what has a name in it.
    pub(super) fn has_entries(self) -> bool {
        matches!(self, Self::Struct(..) | Self::Map(..) | Self::Any)
    }

    /// Whether a step from here leads to an entry of a map or list, and not to a field that the schema names.
    pub(super) fn is_entry(self, step: &str) -> bool {
        match (self, step.strip_prefix("f:")) {
            (Self::Struct(schema, id), Some(name)) => schema.get(id).field(name).is_none(),
            _ => true,
        }
    }

    /// What a child of this kind of object is, by name.
    pub(super) fn child(self, name: &str) -> Self {
        match self {
            Self::Struct(schema, id) => match schema.get(id).field(name) {
                Some(field) => Self::of_field(schema, field),
                None if schema.get(id).keeps_unknown() => Self::Any,
                None => Self::Leaf,
            },
            Self::Map(schema, element) => Self::of_shape(schema, element),
            Self::Any => Self::Any,
            _ => Self::Leaf,
        }
    }

    /// What the items of this kind of list are.
    pub(super) fn item(self) -> Self {
        match self {
            Self::Keyed(schema, element, _) => Self::of_shape(schema, element),
            _ => Self::Leaf,
        }
    }

    /// The step to an item of a list that is owned by its items.
    pub(super) fn step(self, item: &Value) -> String {
        match self {
            Self::Keyed(schema, element, keys) => {
                let structure = element.structure().map(|id| schema.get(id));
                let keys: Map<String, Value> = keys
                    .iter()
                    .map(|key| {
                        let default =
                            || structure.and_then(|t| t.field(key)).and_then(|field| field.default.as_deref());
                        let value = item.get(&**key).cloned();
                        let value = value.or_else(|| default().and_then(|text| serde_json::from_str(text).ok()));
                        (key.clone().into_owned(), value.unwrap_or_default())
                    })
                    .collect();
                format!("k:{}", Value::Object(keys))
            }
            _ => format!("v:{item}"),
        }
    }
}

/// Compares two versions of an object.
pub(super) fn compare(schema: &Schema, id: TypeId, old: &Value, new: &Value) -> Difference {
    let mut walk = Walk { path: Vec::new(), found: Difference::default() };
    walk.both(Kind::Struct(schema, id), old, new);
    walk.found
}

/// Every field of an object: what an applied configuration lays claim to.
pub(super) fn fields(schema: &Schema, id: TypeId, object: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(Kind::Struct(schema, id), object, false, &mut Vec::new(), &mut set);
    set
}

struct Walk {
    path: Vec<String>,
    found: Difference,
}

impl Walk {
    fn both(&mut self, kind: Kind<'_>, old: &Value, new: &Value) {
        if old == new {
            return;
        }
        let (no_items, no_entries) = (Vec::new(), Map::new());
        match kind {
            Kind::Struct(..) | Kind::Map(..) | Kind::Any => {
                if let (Some(old), Some(new)) = (entries(old, &no_entries), entries(new, &no_entries))
                    && !(old.is_empty() && new.is_empty())
                {
                    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                        self.step(format!("f:{name}"), |walk| {
                            walk.pair(kind.child(name), old.get(name), new.get(name));
                        });
                    }
                    return;
                }
            }
            Kind::Set | Kind::Keyed(..) => {
                if let (Some(old), Some(new)) = (items(old, &no_items), items(new, &no_items))
                    && !(old.is_empty() && new.is_empty())
                {
                    return self.lists(kind, old, new);
                }
            }
            Kind::Leaf => {}
        }
        self.found.modified.insert(&self.path);
    }

    fn lists(&mut self, kind: Kind<'_>, old: &[Value], new: &[Value]) {
        let steps = |items: &[Value]| items.iter().map(|item| kind.step(item)).collect::<Vec<_>>();
        let (old_steps, new_steps) = (steps(old), steps(new));
        let mut counterparts: HashMap<&String, &Value> = HashMap::with_capacity(new.len());
        for (step, item) in new_steps.iter().zip(new) {
            counterparts.entry(step).or_insert(item);
        }
        for (step, item) in old_steps.iter().zip(old) {
            let counterpart = counterparts.get(step).copied();
            self.step(step.clone(), |walk| walk.pair(kind.item(), Some(item), counterpart));
        }
        let known: HashSet<&String> = old_steps.iter().collect();
        for (step, item) in new_steps.iter().zip(new).filter(|(step, _)| !known.contains(step)) {
            self.step(step.clone(), |walk| walk.pair(kind.item(), None, Some(item)));
        }
    }

    fn pair(&mut self, kind: Kind<'_>, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(old), Some(new)) => self.both(kind, old, new),
            (None, Some(new)) => all(kind, new, &mut self.path, &mut self.found.added),
            (Some(old), None) => all(kind, old, &mut self.path, &mut self.found.removed),
            (None, None) => {}
        }
    }

    fn step(&mut self, step: String, then: impl FnOnce(&mut Self)) {
        self.path.push(step);
        then(self);
        self.path.pop();
    }
}

/// The entries of a map; an explicit null is an empty one.
fn entries<'a>(value: &'a Value, none: &'a Map<String, Value>) -> Option<&'a Map<String, Value>> {
    if value.is_null() { Some(none) } else { value.as_object() }
}

/// The items of a list; an explicit null is an empty one.
fn items<'a>(value: &'a Value, none: &'a Vec<Value>) -> Option<&'a Vec<Value>> {
    if value.is_null() { Some(none) } else { value.as_array() }
}

/// A value that came or went as a whole: it, and everything in it.
fn all(kind: Kind<'_>, value: &Value, path: &mut Vec<String>, set: &mut FieldSet) {
    set.insert(path);
    children(kind, value, |kind, step, child| {
        path.push(step);
        all(kind, child, path, set);
        path.pop();
    });
}

/// As [`all`], but structures and maps are only owned through what is in them, unless they are entries themselves.
fn collect(kind: Kind<'_>, value: &Value, is_entry: bool, path: &mut Vec<String>, set: &mut FieldSet) {
    let is_container = match value {
        Value::Object(map) => kind.has_entries() && !map.is_empty(),
        Value::Array(items) => matches!(kind, Kind::Set | Kind::Keyed(..)) && !items.is_empty(),
        _ => false,
    };
    if !is_container || is_entry {
        set.insert(path);
    }
    children(kind, value, |of, step, child| {
        let is_entry = kind.is_entry(&step);
        path.push(step);
        collect(of, child, is_entry, path, set);
        path.pop();
    });
}

fn children(kind: Kind<'_>, value: &Value, mut visit: impl FnMut(Kind<'_>, String, &Value)) {
    match (kind, value) {
        (kind, Value::Object(map)) if kind.has_entries() => {
            for (name, child) in map {
                visit(kind.child(name), format!("f:{name}"), child);
            }
        }
        (Kind::Set | Kind::Keyed(..), Value::Array(items)) => {
            for item in items {
                visit(kind.item(), kind.step(item), item);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> (&'static Schema, TypeId) {
        (Schema::builtin(), Schema::object_type("", "v1", "Pod").unwrap())
    }

    #[test]
    fn differences() {
        let (schema, id) = pod();
        let old = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"nodeName": "x",
            "containers": [{"name": "c", "image": "1", "command": ["a"]}, {"name": "d"}]}});
        let new = json!({"metadata": {"labels": {"a": "2"}, "annotations": {"n": "m"}, "finalizers": ["f"]}, "spec": {
            "containers": [{"name": "c", "image": "1", "command": ["b"]}, {"name": "e", "ports": [{"containerPort": 80}]}]}});
        let found = compare(schema, id, &old, &new);
        assert_eq!(
            found.modified.into_value(),
            json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:command": {}}}}})
        );
        assert_eq!(
            found.added.into_value(),
            json!({"f:metadata": {"f:annotations": {".": {}, "f:n": {}}, "f:finalizers": {".": {}, "v:\"f\"": {}}},
                "f:spec": {"f:containers": {"k:{\"name\":\"e\"}": {".": {}, "f:name": {}, "f:ports": {".": {},
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}})
        );
        assert_eq!(
            found.removed.into_value(),
            json!({"f:spec": {"f:nodeName": {}, "f:containers": {"k:{\"name\":\"d\"}": {".": {}, "f:name": {}}}}})
        );
    }

    #[test]
    fn claims_of_a_configuration() {
        let (schema, id) = pod();
        let object = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "c"}], "nodeSelector": {"x": "y"}, "securityContext": {}}});
        assert_eq!(
            fields(schema, id, &object).into_value(),
            json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {".": {}, "f:name": {}}},
                "f:nodeSelector": {}, "f:securityContext": {}}})
        );
    }
}
