//! Sets of fields.
//!
//! A set is kept as the JSON object that `fieldsV1` is: each key is a step (`f:name`, `k:{"name":"x"}`, `v:"x"`), `.` marks a node
//! that is a member itself, and an empty object is a member without anything below.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Fields of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldSet(Map<String, Value>);

const SELF: &str = ".";

impl FieldSet {
    /// Reads `fieldsV1`; what is malformed is left out.
    pub fn from_value(value: &Value) -> Self {
        Self(value.as_object().cloned().unwrap_or_default())
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the field at a path of steps.
    pub(super) fn insert(&mut self, path: &[String]) {
        let Some((last, parents)) = path.split_last() else { return };
        let mut node = &mut self.0;
        for step in parents {
            let child = node.entry(step.as_str()).or_insert_with(leafless);
            // A member without children that gets one has to say that it is a member.
            node = into_object(child);
            if node.is_empty() {
                node.insert(SELF.to_owned(), Value::Object(Map::new()));
            } else if node.contains_key(PENDING) {
                node.remove(PENDING);
            }
        }
        match node.get_mut(last) {
            None => {
                node.insert(last.clone(), Value::Object(Map::new()));
            }
            Some(child) => {
                let child = into_object(child);
                if !child.is_empty() {
                    child.insert(SELF.to_owned(), Value::Object(Map::new()));
                }
            }
        }
    }

    pub fn union(mut self, other: &Self) -> Self {
        union(&mut self.0, &other.0);
        self
    }

    /// What is in this set and not in the other.
    pub fn difference(mut self, other: &Self) -> Self {
        difference(&mut self.0, &other.0);
        self
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(intersection(&self.0, &other.0))
    }

    /// Takes out everything at and below a path of fields' names.
    pub fn without_tree(mut self, path: &[&str]) -> Self {
        remove_tree(&mut self.0, path);
        self
    }

    /// Takes out the field itself, and leaves what is below it.
    pub(super) fn without_member(mut self, name: &str) -> Self {
        let step = format!("f:{name}");
        if let Some(Value::Object(below)) = self.0.get_mut(&step) {
            below.remove(SELF);
            if below.is_empty() {
                self.0.remove(&step);
            }
        }
        self
    }

    /// The members as paths for messages: `.spec.containers[name="x"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        collect(&self.0, &mut String::new(), &mut paths);
        paths
    }

    pub(super) fn nodes(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Marks a node that has just been made for a child that follows at once.
const PENDING: &str = "\0";

fn leafless() -> Value {
    let mut node = Map::new();
    node.insert(PENDING.to_owned(), Value::Null);
    Value::Object(node)
}

fn into_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("it has just been made an object")
}

fn object(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

/// Whether a node is a member itself.
pub(super) fn is_member(node: &Map<String, Value>) -> bool {
    node.is_empty() || node.contains_key(SELF)
}

/// A node of children that is a member or not, in its shortest form; `None` when nothing is left.
fn node(member: bool, mut children: Map<String, Value>) -> Option<Value> {
    children.remove(SELF);
    match (member, children.is_empty()) {
        (false, true) => None,
        (true, true) => Some(Value::Object(children)),
        (true, false) => {
            children.insert(SELF.to_owned(), Value::Object(Map::new()));
            Some(Value::Object(children))
        }
        (false, false) => Some(Value::Object(children)),
    }
}

fn union(into: &mut Map<String, Value>, other: &Map<String, Value>) {
    for (step, theirs) in other.iter().filter(|(step, _)| *step != SELF) {
        let Some(theirs) = object(theirs) else { continue };
        match into.get_mut(step) {
            None => {
                into.insert(step.clone(), Value::Object(theirs.clone()));
            }
            Some(ours) => {
                let ours = into_object(ours);
                let member = is_member(ours) || is_member(theirs);
                let mut children = std::mem::take(ours);
                union(&mut children, theirs);
                if let Some(Value::Object(merged)) = node(member, children) {
                    *ours = merged;
                }
            }
        }
    }
}

fn difference(from: &mut Map<String, Value>, other: &Map<String, Value>) {
    for (step, theirs) in other.iter().filter(|(step, _)| *step != SELF) {
        let (Some(theirs), Some(ours)) = (object(theirs), from.get_mut(step)) else { continue };
        let mut children = std::mem::take(into_object(ours));
        let member = is_member(&children) && !is_member(theirs);
        difference(&mut children, theirs);
        match node(member, children) {
            Some(left) => *ours = left,
            None => {
                from.remove(step);
            }
        }
    }
}

fn intersection(a: &Map<String, Value>, b: &Map<String, Value>) -> Map<String, Value> {
    let mut both = Map::new();
    for (step, ours) in a.iter().filter(|(step, _)| *step != SELF) {
        let (Some(ours), Some(theirs)) = (object(ours), b.get(step).and_then(object)) else { continue };
        if let Some(common) = node(is_member(ours) && is_member(theirs), intersection(ours, theirs)) {
            both.insert(step.clone(), common);
        }
    }
    both
}

fn remove_tree(from: &mut Map<String, Value>, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    let step = format!("f:{first}");
    if rest.is_empty() {
        from.remove(&step);
        return;
    }
    let Some(Value::Object(child)) = from.get_mut(&step) else { return };
    // A leaf has nothing below it, and stays.
    if child.is_empty() {
        return;
    }
    remove_tree(child, rest);
    if child.is_empty() {
        from.remove(&step);
    }
}

fn collect(nodes: &Map<String, Value>, prefix: &mut String, paths: &mut Vec<String>) {
    for (step, below) in nodes.iter().filter(|(step, _)| *step != SELF) {
        let length = prefix.len();
        push_step(prefix, step);
        if let Some(below) = object(below) {
            if is_member(below) {
                paths.push(prefix.clone());
            }
            collect(below, prefix, paths);
        }
        prefix.truncate(length);
    }
}

pub(super) fn push_step(path: &mut String, step: &str) {
    match step.split_once(':') {
        Some(("f", name)) => {
            let _ = write!(path, ".{name}");
        }
        Some(("k", keys)) => {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let _ = write!(path, "[{}]", keys.join(","));
        }
        Some(("v", value)) => {
            let _ = write!(path, "[={value}]");
        }
        _ => {
            let _ = write!(path, "[{step}]");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(paths: &[&str]) -> FieldSet {
        let mut set = FieldSet::default();
        for path in paths {
            let steps: Vec<String> = path.split('/').map(|name| format!("f:{name}")).collect();
            set.insert(&steps);
        }
        set
    }

    #[test]
    fn wire_form() {
        assert_eq!(set(&["a/b", "a/c", "d"]).into_value(), json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}));
        assert_eq!(set(&["a", "a/b"]).into_value(), json!({"f:a": {".": {}, "f:b": {}}}));
        assert_eq!(set(&["a/b", "a"]).into_value(), json!({"f:a": {".": {}, "f:b": {}}}));
        assert_eq!(set(&["a/b/c", "a/b"]).into_value(), json!({"f:a": {"f:b": {".": {}, "f:c": {}}}}));
    }

    #[test]
    fn paths_for_messages() {
        let set =
            FieldSet::from_value(&json!({"f:spec": {"f:containers": {"k:{\"name\":\"x\"}": {".": {}, "f:image": {}}},
            "f:finalizers": {"v:\"a/b\"": {}}}}));
        assert_eq!(
            set.paths(),
            [".spec.containers[name=\"x\"]", ".spec.containers[name=\"x\"].image", ".spec.finalizers[=\"a/b\"]"]
        );
    }

    #[test]
    fn trees_are_taken_out() {
        let all = set(&["metadata/name", "metadata/labels/a", "spec"]);
        assert_eq!(all.clone().without_tree(&["metadata"]), set(&["spec"]));
        assert_eq!(all.without_tree(&["metadata", "name"]), set(&["metadata/labels/a", "spec"]));
    }

    fn some_set() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[ab](/[ab]){0,2}", 0..8)
    }

    proptest! {
        #[test]
        fn algebra(a in some_set(), b in some_set()) {
            let of = |paths: &[String]| set(&paths.iter().map(String::as_str).collect::<Vec<_>>());
            let members = |set: &FieldSet| set.paths().into_iter().collect::<std::collections::BTreeSet<_>>();
            let (sa, sb) = (of(&a), of(&b));
            let (ma, mb) = (members(&sa), members(&sb));
            prop_assert_eq!(members(&sa.clone().union(&sb)), ma.union(&mb).cloned().collect());
            prop_assert_eq!(members(&sa.clone().difference(&sb)), ma.difference(&mb).cloned().collect());
            prop_assert_eq!(members(&sa.intersection(&sb)), ma.intersection(&mb).cloned().collect());
            prop_assert_eq!(sa.clone().difference(&sa), FieldSet::default());
        }
    }
}
