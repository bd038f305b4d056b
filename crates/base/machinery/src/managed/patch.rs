//! Changing an object by an apply configuration that nobody owns afterwards: what policies do to what others write.
//!
//! Source: apiserver `pkg/admission/plugin/policy/mutating/patch/smd.go`.

use serde_json::Value;

use super::diff::Kind;
use super::merge::merge;
use super::set::push_step;
use super::typed;
use crate::schema::{Field, Owned, Schema, Shape, TypeId, TypeRef};

/// Paths that are told of.
const SHOWN_MAX: usize = 100;

/// Why a configuration cannot be laid over an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// It has not the types of its kind.
    #[error("failed to convert patch object to typed object: {0}")]
    Typed(String),
    /// It would replace as a whole what it may have meant to change in a part.
    #[error("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {0}")]
    Atomic(String),
}

/// The object with the configuration's values in it.
pub fn patch(of: TypeRef<'_>, object: &Value, configuration: &Value) -> Result<Value, PatchError> {
    let TypeRef { schema, id } = of;
    if let Some(problem) = typed::check(schema, id, configuration) {
        return Err(PatchError::Typed(problem));
    }
    let mut found = Atomics { schema, path: String::new(), paths: Vec::new() };
    found.structure(id, configuration, false);
    if !found.paths.is_empty() {
        return Err(PatchError::Atomic(found.paths.join(", ")));
    }
    Ok(merge(schema, id, object, configuration))
}

/// The places in a configuration whose values are owned as a whole.
struct Atomics<'s> {
    schema: &'s Schema,
    path: String,
    paths: Vec<String>,
}

impl Atomics<'_> {
    fn report(&mut self) {
        if self.paths.len() < SHOWN_MAX {
            self.paths.push(self.path.clone());
        }
    }

    fn below(&mut self, step: &str, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        push_step(&mut self.path, step);
        then(self);
        self.path.truncate(length);
    }

    fn structure(&mut self, id: TypeId, value: &Value, is_atomic: bool) {
        let Value::Object(map) = value else { return };
        if is_atomic {
            self.report();
        }
        let of = self.schema.get(id);
        for (name, value) in map {
            if let Some(field) = of.field(name) {
                self.below(&format!("f:{name}"), |found| found.field(field, value));
            }
        }
    }

    fn field(&mut self, field: &Field, value: &Value) {
        let is_leaf = matches!(Kind::of_field(self.schema, field), Kind::Leaf);
        match (&field.shape, value) {
            (Shape::Struct(id), _) => self.structure(*id, value, is_leaf && field.owned != Owned::Granular),
            // Upstream looks at no values of maps.
            (Shape::Map(_), Value::Object(_)) if is_leaf => self.report(),
            (Shape::List(element) | Shape::WrappedList(element), Value::Array(items)) => {
                if is_leaf {
                    self.report();
                }
                for (index, item) in items.iter().enumerate() {
                    self.below(&index.to_string(), |found| found.item(element, item));
                }
            }
            _ => {}
        }
    }

    fn item(&mut self, shape: &Shape, item: &Value) {
        if let Shape::Struct(id) = shape {
            self.structure(*id, item, self.schema.get(*id).atomic);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(kind: &str, object: Value, configuration: Value) -> Result<Value, String> {
        let group = if kind == "Deployment" { "apps" } else { "" };
        let of = TypeRef { schema: Schema::builtin(), id: Schema::object_type(group, "v1", kind).unwrap() };
        patch(of, &object, &configuration).map_err(|error| error.to_string())
    }

    #[test]
    fn configurations_are_laid_over_objects() {
        let pod = || json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let more = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"containers": [{"name": "d"}, {"name": "c", "tty": true}]}});
        let merged = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [
            {"name": "d"}, {"name": "c", "image": "i", "tty": true}]}});
        assert_eq!(patched("Pod", pod(), more), Ok(merged));
        let unknown = "failed to convert patch object to typed object: .spec.nodes: field not declared in schema";
        assert_eq!(patched("Pod", pod(), json!({"spec": {"nodes": 1}})), Err(unknown.to_owned()));
    }

    #[test]
    fn nobody_replaces_what_is_atomic() {
        let refused = |paths: &str| {
            Err(format!("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {paths}"))
        };
        let cases = [
            ("Pod", json!({"spec": {"containers": [{"name": "c", "args": ["x"]}]}}), ".spec.containers[0].args"),
            ("Pod", json!({"spec": {"nodeSelector": {"a": "b"}}}), ".spec.nodeSelector"),
            ("Deployment", json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}), ".spec.selector"),
            ("Pod", json!({"metadata": {"ownerReferences": [{"uid": "u"}]}}), ".metadata.ownerReferences[0]"),
        ];
        for (kind, configuration, paths) in cases {
            assert_eq!(patched(kind, json!({}), configuration.clone()), refused(paths), "{configuration}");
        }
    }
}
