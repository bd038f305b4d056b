//! Laying a configuration over an object, and taking fields out of one.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::diff::Kind;
use super::set::{FieldSet, is_member};
use crate::schema::{Schema, TypeId};

/// The object with the configuration's values in it.
pub(super) fn merge(schema: &Schema, id: TypeId, object: &Value, configuration: &Value) -> Value {
    let mut merged = object.clone();
    lay_over(Kind::Struct(schema, id), &mut merged, configuration);
    merged
}

fn lay_over(kind: Kind<'_>, object: &mut Value, configuration: &Value) {
    match (kind, &mut *object, configuration) {
        (kind, Value::Object(object), Value::Object(configuration)) if kind.has_entries() => {
            for (name, value) in configuration {
                match object.get_mut(name) {
                    Some(current) => lay_over(kind.child(name), current, value),
                    None => {
                        object.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Kind::Set | Kind::Keyed(..), Value::Array(object), Value::Array(configuration)) => {
            *object = merge_lists(kind, std::mem::take(object), configuration);
        }
        _ => object.clone_from(configuration),
    }
}

/// Items of both lists. Those of the configuration keep its order, those of the object alone stay as far ahead as they can: an item
/// that nobody has seen before comes behind them. Of an item that the object has several times, the configuration's is left.
fn merge_lists(kind: Kind<'_>, object: Vec<Value>, configuration: &[Value]) -> Vec<Value> {
    let steps_of = |items: &[Value]| -> Vec<String> { items.iter().map(|item| kind.step(item)).collect() };
    let (steps, wanted_steps) = (steps_of(&object), steps_of(configuration));
    let wanted: HashSet<&String> = wanted_steps.iter().collect();
    let mut counts: HashMap<&String, usize> = HashMap::with_capacity(steps.len());
    steps.iter().for_each(|step| *counts.entry(step).or_default() += 1);
    let mut shared = wanted_steps.iter().filter(|step| counts.contains_key(*step)).peekable();
    // The object's side of the items that both have.
    let mut counterparts = HashMap::new();
    let mut own = Vec::with_capacity(steps.len());
    for (step, item) in steps.iter().zip(object) {
        if !wanted.contains(step) {
            own.push((step, Some(item)));
            continue;
        }
        own.push((step, None));
        if counts[step] == 1 {
            counterparts.insert(step, item);
        }
    }
    let mut own = own.into_iter().peekable();
    let mut merged = Vec::with_capacity(steps.len() + configuration.len());
    let mut done = HashSet::new();
    for (step, item) in wanted_steps.iter().zip(configuration) {
        // What the object has before this item: its own items, and places of shared ones that have come, or come later.
        while let Some((_, item)) =
            own.next_if(|(at, item)| item.is_some() || done.contains(at) || (*at != step && shared.peek() != Some(at)))
        {
            merged.extend(item);
        }
        if own.peek().is_some_and(|(at, _)| *at == step) {
            own.next();
        }
        if shared.peek() == Some(&step) {
            shared.next();
        }
        done.insert(step);
        merged.push(match counterparts.remove(step) {
            Some(mut counterpart) => {
                lay_over(kind.item(), &mut counterpart, item);
                counterpart
            }
            None => item.clone(),
        });
    }
    merged.extend(own.filter_map(|(_, item)| item));
    merged
}

/// Takes fields out. What is left empty of a map or list goes as well when it was a member.
pub(super) fn remove(schema: &Schema, id: TypeId, object: &mut Value, fields: &FieldSet) {
    take_out(Kind::Struct(schema, id), object, fields.nodes());
}

fn take_out(kind: Kind<'_>, object: &mut Value, fields: &serde_json::Map<String, Value>) {
    match (kind, object) {
        (kind, Value::Object(map)) if kind.has_entries() => {
            for (step, below) in fields {
                let (Some(name), Some(below)) = (step.strip_prefix("f:"), below.as_object()) else { continue };
                let Some(child) = map.get_mut(name) else { continue };
                if !below.is_empty() {
                    take_out(kind.child(name), child, below);
                }
                let is_empty = match child {
                    Value::Object(map) => map.is_empty(),
                    Value::Array(items) => items.is_empty(),
                    _ => false,
                };
                if is_member(below) && (below.is_empty() || is_empty) {
                    map.remove(name);
                }
            }
        }
        (Kind::Set | Kind::Keyed(..), Value::Array(items)) => {
            items.retain_mut(|item| {
                let Some(below) = fields.get(&kind.step(item)).and_then(Value::as_object) else { return true };
                // The item goes when it is a member; nobody else owns anything in it, or it would not be here.
                if is_member(below) {
                    return false;
                }
                take_out(kind.item(), item, below);
                true
            });
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
    fn lists_keep_their_order() {
        let (schema, id) = pod();
        let names = |names: &[&str]| {
            let list: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
            json!({"spec": {"containers": list}})
        };
        for (object, configuration, merged) in [
            (&["a", "b", "c"][..], &["b"][..], &["a", "b", "c"][..]),
            (&["a", "b"], &["c"], &["a", "b", "c"]),
            (&["a", "b", "c"], &["d", "b"], &["a", "d", "b", "c"]),
            (&["a", "b", "c"], &["c", "x", "a", "y"], &["b", "c", "x", "a", "y"]),
            (&["a", "b", "a"], &["a"], &["a", "b"]),
            (&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]),
            (&["a", "b"], &["a", "x", "b"], &["a", "x", "b"]),
        ] {
            assert_eq!(merge(schema, id, &names(object), &names(configuration)), names(merged));
        }
    }

    #[test]
    fn fields_are_taken_out() {
        let (schema, id) = pod();
        let mut object = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeName": "x", "containers": [{"name": "c", "image": "i"}, {"name": "d"}]}});
        let fields =
            FieldSet::from_value(&json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:nodeName": {},
            "f:containers": {"k:{\"name\":\"c\"}": {"f:image": {}}, "k:{\"name\":\"d\"}": {".": {}, "f:name": {}}}}}));
        remove(schema, id, &mut object, &fields);
        assert_eq!(object, json!({"metadata": {"labels": {"b": "2"}}, "spec": {"containers": [{"name": "c"}]}}));
    }
}
