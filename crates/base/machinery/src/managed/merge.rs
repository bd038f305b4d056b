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
        (Kind::Struct(..) | Kind::Map(..), Value::Object(object), Value::Object(configuration)) => {
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

/// Items of both lists: those of the configuration in its order, and the others where they stood between them.
fn merge_lists(kind: Kind<'_>, object: Vec<Value>, configuration: &[Value]) -> Vec<Value> {
    let steps: Vec<String> = configuration.iter().map(|item| kind.step(item)).collect();
    let wanted: HashSet<&String> = steps.iter().collect();
    let steps_now: Vec<String> = object.iter().map(|item| kind.step(item)).collect();
    let mut places: HashMap<&String, usize> = HashMap::with_capacity(steps_now.len());
    for (place, step) in steps_now.iter().enumerate() {
        places.entry(step).or_insert(place);
    }
    let mut current: Vec<Option<Value>> = object.into_iter().map(Some).collect();
    let mut merged = Vec::with_capacity(current.len() + steps.len());
    let mut at = 0;
    for (step, item) in steps.iter().zip(configuration) {
        let Some(place) = places.get(step).copied() else {
            merged.push(item.clone());
            continue;
        };
        // What stands before the counterpart and is not in the configuration stays before it.
        while at < place {
            if !wanted.contains(&steps_now[at]) {
                merged.extend(current[at].take());
            }
            at += 1;
        }
        if let Some(mut counterpart) = current[place].take() {
            lay_over(kind.item(), &mut counterpart, item);
            merged.push(counterpart);
        }
    }
    merged.extend(current.into_iter().flatten());
    merged
}

/// Takes fields out. What is left empty of a map or list goes as well when it was a member.
pub(super) fn remove(schema: &Schema, id: TypeId, object: &mut Value, fields: &FieldSet) {
    take_out(Kind::Struct(schema, id), object, fields.nodes());
}

fn take_out(kind: Kind<'_>, object: &mut Value, fields: &serde_json::Map<String, Value>) {
    match (kind, object) {
        (Kind::Struct(..) | Kind::Map(..), Value::Object(map)) => {
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
            (&["a", "b"], &["c"], &["c", "a", "b"]),
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
