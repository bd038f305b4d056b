//! Whether an applied configuration has the types of its kind. It is checked as a client wrote it, before anything is made of it:
//! each field in it is a claim, so one that the kind does not have cannot be left out, and two items with one key claim the same.
//!
//! Source: structured-merge-diff `typed/validate.go`.

use std::collections::HashSet;

use serde_json::Value;

use super::diff::Kind;
use super::set::push_step;
use crate::decode::{PROBLEMS_BYTES_MAX, PROBLEMS_MAX};
use crate::go;
use crate::schema::{Field, ListKind, Scalar, Schema, Shape, TypeId};

/// What is wrong with a configuration, in one text; `None` when nothing is.
pub(super) fn check(schema: &Schema, id: TypeId, configuration: &Value) -> Option<String> {
    let mut walk = Walk { schema, path: String::new(), problems: Vec::new(), bytes: 0 };
    walk.value(&Shape::Struct(id), None, configuration);
    match walk.problems.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        all => Some(format!("errors:\n  {}", all.join("\n  "))),
    }
}

struct Walk<'s> {
    schema: &'s Schema,
    path: String,
    problems: Vec<String>,
    /// Of the problems.
    bytes: usize,
}

impl Walk<'_> {
    fn refuse(&mut self, problem: &str) {
        // Each may repeat a long key.
        if self.problems.len() >= PROBLEMS_MAX || self.bytes >= PROBLEMS_BYTES_MAX {
            return;
        }
        self.bytes += self.path.len() + problem.len();
        self.problems.push(if self.path.is_empty() { problem.to_owned() } else { format!("{}: {problem}", self.path) });
    }

    /// Goes down a step and comes back.
    fn below(&mut self, step: &str, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        push_step(&mut self.path, step);
        then(self);
        self.path.truncate(length);
    }

    /// Checks a value of a shape, which may be that of a field.
    fn value(&mut self, shape: &Shape, field: Option<&Field>, value: &Value) {
        match (shape, value) {
            (_, Value::Null) | (Shape::Any, _) => {}
            (Shape::Struct(id), Value::Object(map)) => {
                for (name, value) in map {
                    let field = self.schema.get(*id).field(name);
                    match field {
                        Some(field) => {
                            self.below(&format!("f:{name}"), |walk| walk.value(&field.shape, Some(field), value));
                        }
                        None if self.schema.get(*id).keeps_unknown() => {}
                        // As upstream: the rest of the map is not looked at.
                        None => {
                            return self
                                .below(&format!("f:{name}"), |walk| walk.refuse("field not declared in schema"));
                        }
                    }
                }
            }
            (Shape::Map(element), Value::Object(map)) => {
                for (name, value) in map {
                    self.below(&format!("f:{name}"), |walk| walk.value(element, None, value));
                }
            }
            (Shape::List(element) | Shape::WrappedList(element), Value::Array(items)) => {
                let list = field.map_or(&ListKind::Atomic, |field| &field.list);
                let kind = field.map_or(Kind::Leaf, |field| Kind::of_list(self.schema, field));
                let mut known = HashSet::new();
                for (place, item) in items.iter().enumerate() {
                    let step = match list {
                        ListKind::Atomic => place.to_string(),
                        ListKind::Map(_) if !item.is_object() => {
                            let why = "associative list with keys may not have non-map elements";
                            return self.refuse(&format!("element {place}: {why}"));
                        }
                        ListKind::Map(_) | ListKind::Set => kind.step(item),
                    };
                    if *list != ListKind::Atomic && !known.insert(step.clone()) {
                        let mut key = String::new();
                        push_step(&mut key, &step);
                        self.refuse(&format!("duplicate entries for key {key}"));
                    }
                    self.below(&step, |walk| walk.value(element, None, item));
                }
            }
            (Shape::Struct(_) | Shape::Map(_), other) => {
                self.refuse(&format!("expected map, got &{{{}}}", go::print(other)));
            }
            (Shape::List(_) | Shape::WrappedList(_), other) => {
                self.refuse(&format!("expected list, got &{{{}}}", go::print(other)));
            }
            (Shape::Scalar(scalar), value) => self.scalar(*scalar, value),
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Value) {
        match (scalar, value) {
            (Scalar::String, Value::String(_))
            | (Scalar::Bool, Value::Bool(_))
            | (Scalar::Int32 | Scalar::Int64 | Scalar::Double, Value::Number(_)) => {}
            (Scalar::String, other) => {
                self.refuse(&format!("expected string, got &value.valueUnstructured{{Value:{}}}", go::print(other)));
            }
            (Scalar::Bool, other) => self.refuse(&format!("expected boolean, got &{{{}}}", go::print(other))),
            (Scalar::Int32 | Scalar::Int64 | Scalar::Double, other) => {
                self.refuse(&format!("expected numeric (int or float), got {}", go::any_type(other)));
            }
            // Times, quantities and the like are any scalar, and the rest is of any shape: decoding looks at them.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(configuration: Value) -> Option<String> {
        let id = Schema::object_type("", "v1", "Pod").unwrap();
        check(Schema::builtin(), id, &configuration)
    }

    #[test]
    fn sound_configurations() {
        let configuration = json!({
            "metadata": {"labels": {"a": "b"}, "finalizers": ["a/b", "c/d"], "annotations": null},
            "spec": {"hostNetwork": true, "containers": [
                {"name": "c", "args": ["x", "x"], "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
                    "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}]},
                {"name": "d"},
            ]},
        });
        assert_eq!(problems(configuration), None);
    }

    #[test]
    fn long_keys_are_not_repeated_for_ever() {
        let container = json!({"name": "n".repeat(10_000), "args": vec![1; 10_000]});
        let text = problems(json!({"spec": {"containers": [container]}})).unwrap();
        assert!(text.len() < 100_000, "{} bytes", text.len());
    }

    #[test]
    fn what_is_refused() {
        let ports = |ports: Value| json!({"spec": {"containers": [{"name": "c", "ports": ports}]}});
        let cases = [
            (json!({"spec": {"foo": 1}}), ".spec.foo: field not declared in schema"),
            (json!({"spec": {"containers": "x"}}), ".spec.containers: expected list, got &{x}"),
            (json!({"spec": []}), ".spec: expected map, got &{[]}"),
            (
                json!({"spec": {"activeDeadlineSeconds": "x"}}),
                ".spec.activeDeadlineSeconds: expected numeric (int or float), got string",
            ),
            (
                json!({"spec": {"nodeName": 1}}),
                ".spec.nodeName: expected string, got &value.valueUnstructured{Value:1}",
            ),
            (json!({"spec": {"hostPID": 1}}), ".spec.hostPID: expected boolean, got &{1}"),
            (
                json!({"metadata": {"finalizers": ["a/b", "a/b"]}}),
                ".metadata.finalizers: duplicate entries for key [=\"a/b\"]",
            ),
            (
                ports(json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}])),
                ".spec.containers[name=\"c\"].ports: duplicate entries for key [containerPort=80,protocol=\"TCP\"]",
            ),
            (
                ports(json!([1])),
                ".spec.containers[name=\"c\"].ports: element 0: associative list with keys may not have non-map elements",
            ),
        ];
        for (configuration, expected) in cases {
            assert_eq!(problems(configuration).as_deref(), Some(expected));
        }
        let two = problems(json!({"metadata": {"foo": 1}, "spec": {"foo": 1}})).unwrap();
        assert_eq!(
            two,
            "errors:\n  .metadata.foo: field not declared in schema\n  .spec.foo: field not declared in schema"
        );
    }
}
