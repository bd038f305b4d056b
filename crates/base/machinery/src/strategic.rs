//! Strategic merge patch: a merge patch that knows which lists are keyed.
//!
//! Objects merge recursively and null removes; lists are replaced unless the schema says that they merge, by a key or as sets. Directives
//! in the patch (`$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…`, `$setElementOrder/…`) say the rest.
//! Source: <https://git.k8s.io/community/contributors/devel/sig-api-machinery/strategic-merge-patch.md>.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::go;
use crate::schema::{Field, Schema, Shape, TypeId};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ELEMENT_ORDER: &str = "$setElementOrder/";

/// What is wrong with a patch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    #[error("Unrecognized type: the patch is not an object")]
    NotAnObject,
    #[error("unknown patch type: {directive} in map: {map}")]
    Directive { directive: String, map: String },
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey { item: String, key: String },
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    #[error("lists of the patch for {0} hold items that are not objects")]
    Items(String),
    /// Items that name one another's keys again and again merge their lists each time.
    #[error("the patch merges too many items")]
    TooMuch,
    /// An order of what is no list, or one that is none itself.
    #[error("expected a []interface {{}}, but received a {0}")]
    NoList(&'static str),
}

/// Applies a patch to an object of a type.
pub fn apply(schema: &Schema, id: TypeId, object: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let patch = patch.as_object().ok_or(PatchError::NotAnObject)?;
    let Value::Object(map) = object else { return Err(PatchError::NotAnObject) };
    merge_object(Some((schema, id)), map, patch, &mut Work(ITEMS_MAX))
}

/// So many items of lists a patch may merge or sort. The largest object has fewer, and a patch that merges each list once needs no more.
const ITEMS_MAX: usize = 500_000;

/// How many may still be.
struct Work(usize);

impl Work {
    fn take(&mut self, items: usize) -> Result<(), PatchError> {
        self.0 = self.0.checked_sub(items).ok_or(PatchError::TooMuch)?;
        Ok(())
    }
}

/// The structure of an object, where it has one; an object in a free-form place has none.
type Structure<'s> = Option<(&'s Schema, TypeId)>;

fn field<'s>(structure: Structure<'s>, name: &str) -> Option<(&'s Schema, &'s Field)> {
    let (schema, id) = structure?;
    schema.get(id).field(name).map(|field| (schema, field))
}

/// The structure of what a field holds, or of what is in its list or map.
fn inner<'s>(structure: Structure<'s>, name: &str) -> Structure<'s> {
    let (schema, field) = field(structure, name)?;
    field.shape.structure().map(|id| (schema, id))
}

fn merge_object(
    structure: Structure<'_>,
    object: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    work: &mut Work,
) -> Result<(), PatchError> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("delete") => {
            object.clear();
            return Ok(());
        }
        Some("replace") => {
            *object = without_directives(patch);
            return Ok(());
        }
        Some(other) => return Err(directive(other, patch)),
    }
    retain_keys(object, patch)?;
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (object.get_mut(list), value) {
                work.take(items.len() + gone.len())?;
                let gone: HashSet<&Value> = gone.iter().collect();
                items.retain(|item| !gone.contains(item));
            }
        } else if !name.starts_with('$') {
            merge_field(structure, object, name, value, patch.get(&format!("{ELEMENT_ORDER}{name}")), work)?;
        }
    }
    // An order may be given for a list that is not patched itself.
    for (name, order) in patch {
        let Some(list) = name.strip_prefix(ELEMENT_ORDER) else { continue };
        let order = order.as_array().ok_or(PatchError::NoList(go::any_type(order)))?;
        match object.get_mut(list) {
            Some(Value::Array(items)) if !patch.contains_key(list) => {
                work.take(items.len() + order.len())?;
                let before = items.clone();
                sort(items, order, &before, merge_key(structure, list));
            }
            None | Some(Value::Null | Value::Array(_)) => {}
            Some(other) => return Err(PatchError::NoList(go::any_type(other))),
        }
    }
    Ok(())
}

fn merge_field(
    structure: Structure<'_>,
    object: &mut Map<String, Value>,
    name: &str,
    value: &Value,
    order: Option<&Value>,
    work: &mut Work,
) -> Result<(), PatchError> {
    if value.is_null() {
        object.remove(name);
        return Ok(());
    }
    let inner = inner(structure, name);
    let is_replaced = field(structure, name).is_some_and(|(_, field)| field.patch.as_ref().is_some_and(|p| p.replace));
    match (object.get_mut(name), value) {
        (Some(Value::Object(_)), Value::Object(_)) if is_replaced => {
            object.insert(name.to_owned(), value.clone());
            Ok(())
        }
        (Some(Value::Object(current)), Value::Object(patch)) => match field(structure, name).map(|(_, f)| &f.shape) {
            // In a map the entries have the structure, the map itself has none.
            Some(Shape::Map(_)) => merge_map(inner, current, patch, work),
            _ => merge_object(inner, current, patch, work),
        },
        (Some(Value::Array(items)), Value::Array(patch)) if merges(structure, name) => {
            merge_list(inner, items, patch, order, (merge_key(structure, name), name), work)
        }
        (_, Value::Array(patch)) if merges(structure, name) => {
            // Into nothing: as they are, but for those that say what is to be done with what there is.
            let mut items = Vec::new();
            for item in patch {
                match item {
                    Value::Object(item) if item.contains_key(PATCH) => {}
                    Value::Object(item) => {
                        let mut fresh = Map::new();
                        merge_object(inner, &mut fresh, item, work)?;
                        items.push(Value::Object(fresh));
                    }
                    other => items.push(other.clone()),
                }
            }
            object.insert(name.to_owned(), Value::Array(items));
            Ok(())
        }
        (_, Value::Object(patch)) => {
            let mut fresh = Map::new();
            match field(structure, name).map(|(_, f)| &f.shape) {
                Some(Shape::Map(_)) => merge_map(inner, &mut fresh, patch, work)?,
                _ => merge_object(inner, &mut fresh, patch, work)?,
            }
            object.insert(name.to_owned(), Value::Object(fresh));
            Ok(())
        }
        (_, value) => {
            object.insert(name.to_owned(), value.clone());
            Ok(())
        }
    }
}

/// Merges the entries of a map whose values may be structures.
fn merge_map(
    entry: Structure<'_>,
    map: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    work: &mut Work,
) -> Result<(), PatchError> {
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            *map = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            map.clear();
            return Ok(());
        }
        None | Some("merge") => {}
        Some(other) => return Err(directive(other, patch)),
    }
    for (key, value) in patch.iter().filter(|(key, _)| *key != PATCH) {
        match (map.get_mut(key), value) {
            (_, Value::Null) => {
                map.remove(key);
            }
            (Some(Value::Object(current)), Value::Object(patch)) => merge_object(entry, current, patch, work)?,
            _ => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn merges(structure: Structure<'_>, name: &str) -> bool {
    field(structure, name).is_some_and(|(_, field)| field.patch.as_ref().is_some_and(|patch| patch.merge))
}

fn merge_key<'s>(structure: Structure<'s>, name: &str) -> Option<&'s str> {
    field(structure, name)?.1.patch.as_ref()?.merge_key.as_deref()
}

fn merge_list(
    structure: Structure<'_>,
    items: &mut Vec<Value>,
    patch: &[Value],
    order: Option<&Value>,
    (key, name): (Option<&str>, &str),
    work: &mut Work,
) -> Result<(), PatchError> {
    let order = order.and_then(Value::as_array).map_or(patch, Vec::as_slice);
    work.take(items.len() + patch.len() + order.len())?;
    let before = items.clone();
    let Some(key) = key else {
        let mut known: HashSet<&Value> = before.iter().collect();
        items.extend(patch.iter().filter(|value| known.insert(value)).cloned());
        sort(items, order, &before, None);
        return Ok(());
    };
    if patch.iter().any(|item| item.get(PATCH).and_then(Value::as_str) == Some("replace")) {
        // One such item speaks for the whole list.
        *items = patch
            .iter()
            .filter_map(Value::as_object)
            .filter(|item| !item.contains_key(PATCH))
            .map(|item| Value::Object(without_directives(item)))
            .collect();
        return Ok(());
    }
    // Where the items with a key are; those that have been deleted leave their place empty.
    let mut slots: Vec<Option<Value>> = std::mem::take(items).into_iter().map(Some).collect();
    let mut places: HashMap<&Value, Vec<usize>> = HashMap::new();
    for (place, item) in before.iter().enumerate() {
        if let Some(id) = item.get(key) {
            places.entry(id).or_default().push(place);
        }
    }
    for value in patch {
        let item = value.as_object().ok_or_else(|| PatchError::Items(name.to_owned()))?;
        let id =
            item.get(key).ok_or_else(|| PatchError::NoMergeKey { item: value.to_string(), key: key.to_owned() })?;
        match item.get(PATCH).and_then(Value::as_str) {
            Some("delete") => places.remove(id).into_iter().flatten().for_each(|place| slots[place] = None),
            None | Some("merge") => {
                let places = places.entry(id).or_default();
                match places.first().and_then(|place| slots[*place].as_mut()) {
                    Some(Value::Object(current)) => merge_object(structure, current, item, work)?,
                    _ => {
                        let mut fresh = Map::new();
                        merge_object(structure, &mut fresh, item, work)?;
                        places.push(slots.len());
                        slots.push(Some(Value::Object(fresh)));
                    }
                }
            }
            Some(other) => return Err(directive(other, item)),
        }
    }
    items.extend(slots.into_iter().flatten());
    sort(items, order, &before, Some(key));
    Ok(())
}

/// Where the items of a list are, by what tells them apart: their key, or all of them.
struct Places<'a> {
    first: HashMap<&'a Value, usize>,
    key: Option<&'a str>,
}

impl<'a> Places<'a> {
    fn of(list: &'a [Value], key: Option<&'a str>) -> Self {
        let mut first = HashMap::with_capacity(list.len());
        for (place, item) in list.iter().enumerate() {
            if let Some(id) = key.map_or(Some(item), |key| item.get(key)) {
                first.entry(id).or_insert(place);
            }
        }
        Self { first, key }
    }

    fn get(&self, item: &Value) -> Option<usize> {
        let id = self.key.map_or(Some(item), |key| item.get(key))?;
        self.first.get(id).copied()
    }
}

/// Brings a merged list, which is in its old order with what is new behind it, into the order of the patch: the items that the patch
/// names as it names them, the others as they were; between the two, the old order decides where it knows both, and else the
/// patch's items come first.
fn sort(items: &mut Vec<Value>, order: &[Value], before: &[Value], key: Option<&str>) {
    let (order, before) = (Places::of(order, key), Places::of(before, key));
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in std::mem::take(items) {
        let old = before.get(&item);
        match order.get(&item) {
            Some(place) => named.push((place, old, item)),
            None => others.push((old, item)),
        }
    }
    named.sort_by_key(|(place, ..)| *place);
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some((_, old, _)), Some((old_other, _))) = (named.peek(), others.peek()) {
        let other_first = matches!((old_other, old), (Some(other), Some(named)) if other < named);
        items.extend(if other_first {
            others.next().map(|(_, item)| item)
        } else {
            named.next().map(|(.., item)| item)
        });
    }
    items.extend(named.map(|(.., item)| item));
    items.extend(others.map(|(_, item)| item));
}

/// Clears fields that the patch does not want to be kept: for unions, of which only one member may be set.
fn retain_keys(object: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), PatchError> {
    let Some(keys) = patch.get(RETAIN_KEYS) else { return Ok(()) };
    let keys = keys.as_array().ok_or(PatchError::RetainKeys)?;
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let named = |name: &String| keys.contains(name.as_str());
    // A null clears a field anyway.
    if patch.iter().any(|(name, value)| !name.starts_with('$') && !value.is_null() && !named(name)) {
        return Err(PatchError::RetainKeys);
    }
    object.retain(|name, _| named(name));
    Ok(())
}

fn directive(directive: &str, patch: &Map<String, Value>) -> PatchError {
    let map = go::print(&Value::Object(patch.clone()));
    PatchError::Directive { directive: directive.to_owned(), map }
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    patch.iter().filter(|(name, _)| !name.starts_with('$')).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(kind: &str, object: Value, patch: Value) -> Result<Value, PatchError> {
        let id = Schema::object_type("", "v1", kind).unwrap();
        let mut object = object;
        apply(Schema::builtin(), id, &mut object, &patch).map(|()| object)
    }

    fn containers(names: &[(&str, &str)]) -> Value {
        let list: Vec<Value> = names.iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
        json!({"spec": {"containers": list}})
    }

    /// Each item names the same container, whose variables are merged with nothing, or brought into an order.
    #[test]
    fn a_short_patch_does_not_merge_a_long_list_again_and_again() {
        let env: Vec<Value> = (0..10_000).map(|n| json!({"name": format!("V{n}")})).collect();
        let before = json!({"spec": {"containers": [{"name": "c", "env": env}]}});
        for part in
            [json!({"env": []}), json!({"$setElementOrder/env": []}), json!({"env": [{"name": "V1", "value": "x"}]})]
        {
            let item = |n: usize| {
                let mut item = part.clone();
                item["name"] = json!("c");
                Value::Array(vec![item; n])
            };
            let patch = |n| json!({"spec": {"containers": item(n)}});
            assert_eq!(patched("Pod", before.clone(), patch(3000)).unwrap_err(), PatchError::TooMuch);
            assert!(patched("Pod", before.clone(), patch(10)).is_ok());
        }
    }

    #[test]
    fn lists_merge_by_key() {
        let before = containers(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let cases = [
            (json!([{"name": "b", "image": "2"}]), vec![("a", "1"), ("b", "2"), ("c", "1")]),
            (json!([{"name": "d", "image": "2"}]), vec![("d", "2"), ("a", "1"), ("b", "1"), ("c", "1")]),
            (json!([{"name": "a", "$patch": "delete"}]), vec![("b", "1"), ("c", "1")]),
            (json!([{"$patch": "replace"}, {"name": "z", "image": "9"}]), vec![("z", "9")]),
        ];
        for (patch, after) in cases {
            let result = patched("Pod", before.clone(), json!({"spec": {"containers": patch}})).unwrap();
            assert_eq!(result, containers(&after));
        }
        let ordered = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}, {"name": "b"}],
            "containers": [{"name": "a", "image": "2"}]}});
        let result = patched("Pod", before.clone(), ordered).unwrap();
        assert_eq!(result, containers(&[("c", "1"), ("a", "2"), ("b", "1")]));
        let unkeyed = patched("Pod", before, json!({"spec": {"containers": [{"image": "2"}]}}));
        assert!(matches!(unkeyed, Err(PatchError::NoMergeKey { .. })));
    }

    #[test]
    fn objects_merge_and_null_removes() {
        let before = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"nodeSelector": {"x": "y"}}});
        let patch = json!({"metadata": {"labels": {"a": null, "c": "2"}, "annotations": {"n": "m"}},
            "spec": {"nodeSelector": {"$patch": "replace", "z": "w"}}});
        assert_eq!(
            patched("Pod", before, patch).unwrap(),
            json!({"metadata": {"labels": {"b": "1", "c": "2"}, "annotations": {"n": "m"}}, "spec": {"nodeSelector": {"z": "w"}}})
        );
    }

    #[test]
    fn plain_lists_and_sets() {
        let before = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"tolerations": [{"key": "x"}]}});
        let patch = json!({"metadata": {"finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"]},
            "spec": {"tolerations": [{"key": "y"}]}});
        assert_eq!(
            patched("Pod", before, patch).unwrap(),
            json!({"metadata": {"finalizers": ["c", "b"]}, "spec": {"tolerations": [{"key": "y"}]}})
        );
    }

    /// What grows with the product of two lists would take minutes of a thread: the number of comparisons is that of the items.
    #[test]
    fn long_lists_are_merged_by_index() {
        const MANY: usize = 60_000;
        let names = |from: usize| (from..from + MANY).map(|n| json!(format!("example.com/{n}"))).collect::<Vec<_>>();
        let before = json!({"metadata": {"finalizers": names(0)}});
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": names(1), "finalizers": names(MANY)}});
        let after = patched("Pod", before, patch).unwrap();
        let after = after["metadata"]["finalizers"].as_array().unwrap();
        // The order in which a patch's fields apply is that of their names.
        assert_eq!((after.len(), &after[0]), (MANY + 1, &json!(format!("example.com/{MANY}"))));
        let env =
            |order: Vec<usize>| order.iter().map(|n| json!({"name": n.to_string(), "value": "v"})).collect::<Vec<_>>();
        let spec = |env: Vec<Value>| json!({"spec": {"containers": [{"name": "c", "env": env}]}});
        let backwards = env((0..MANY).rev().collect());
        let after = patched("Pod", spec(env((0..MANY).collect())), spec(backwards.clone())).unwrap();
        assert_eq!(after["spec"]["containers"][0]["env"], json!(backwards));
    }

    /// A given order that leaves out what the patch brings: nothing is lost, and nothing is compared without sense.
    #[test]
    fn an_order_that_is_not_whole() {
        let before = containers(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}],
            "containers": [{"name": "x", "image": "2"}, {"name": "a", "image": "2"}, {"name": "y", "image": "2"}]}});
        let after = patched("Pod", before, patch).unwrap();
        let names: Vec<&Value> = after["spec"]["containers"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["a", "b", "c", "x", "y"]);
    }

    #[test]
    fn a_structure_that_is_replaced() {
        let id = Schema::object_type("policy", "v1", "PodDisruptionBudget").unwrap();
        let mut budget = json!({"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "old"}}}});
        let patch = json!({"spec": {"selector": {"matchLabels": {"tier": "new"}}}});
        apply(Schema::builtin(), id, &mut budget, &patch).unwrap();
        assert_eq!(budget, json!({"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"tier": "new"}}}}));
    }

    #[test]
    fn retained_keys() {
        let before = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
        let patch = json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}, "$retainKeys": ["name", "hostPath"]}]}});
        assert_eq!(
            patched("Pod", before.clone(), patch).unwrap(),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}})
        );
        let bad = json!({"spec": {"volumes": [{"name": "v", "hostPath": {}, "$retainKeys": ["name"]}]}});
        assert_eq!(patched("Pod", before, bad), Err(PatchError::RetainKeys));
        assert_eq!(patched("Pod", json!({}), json!([])), Err(PatchError::NotAnObject));
    }
}
