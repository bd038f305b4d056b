//! JSON patch (RFC 6902) by a stranger: the library's operations, with upstream's bounds on their number and on what they copy, and
//! ours on how deep the result may be.
//!
//! Cost: one pass over each value that an operation adds, copies or moves.
//! Source: apiserver `endpoints/handlers/patch.go`; evanphx/json-patch `AccumulatedCopySizeLimit`.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::decode::DEPTH_MAX;

/// Operations that one patch may have.
pub const OPERATIONS_MAX: usize = 10_000;
/// Bytes that all copies of one patch may add, as large as a request may be.
pub const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Nodes of a document that moves of one patch may look at. A move is cheap, and knowing how deep it leads is not.
const MOVED_NODES_MAX: usize = 10_000_000;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonPatchError {
    /// The text is no list of operations.
    #[error("error decoding patch: {0}")]
    Malformed(String),
    #[error("The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {0}")]
    TooMany(usize),
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {0}, exceeding the limit {COPIED_BYTES_MAX}"
    )]
    CopiesTooMuch(usize),
    #[error("the result is nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    #[error("the patch moves more than {MOVED_NODES_MAX} values")]
    MovesTooMuch,
    /// It does not fit the document.
    #[error("{0}")]
    Unfit(String),
}

/// Applies the operations to a document. A document that was refused is half changed.
pub fn apply(document: &mut Value, operations: &Value) -> Result<(), JsonPatchError> {
    if let Some(count) = operations.as_array().map(Vec::len).filter(|count| *count > OPERATIONS_MAX) {
        return Err(JsonPatchError::TooMany(count));
    }
    let Patch(operations) =
        serde_json::from_value(operations.clone()).map_err(|error| JsonPatchError::Malformed(error.to_string()))?;
    let mut bounds = Bounds::default();
    for operation in &operations {
        bounds.check(document, operation)?;
        json_patch::patch_unsafe(document, std::slice::from_ref(operation))
            .map_err(|error| JsonPatchError::Unfit(error.to_string()))?;
    }
    Ok(())
}

/// What the operations so far have taken.
#[derive(Default)]
struct Bounds {
    copied_bytes: usize,
    moved_nodes: usize,
}

impl Bounds {
    /// Refuses an operation that would make too much, before it does.
    fn check(&mut self, document: &Value, operation: &PatchOperation) -> Result<(), JsonPatchError> {
        match operation {
            PatchOperation::Add(add) => fits(add.path.count(), height(&add.value).0),
            PatchOperation::Replace(replace) => fits(replace.path.count(), height(&replace.value).0),
            PatchOperation::Copy(copy) => {
                let Some(value) = document.pointer(copy.from.as_str()) else { return Ok(()) };
                fits(copy.path.count(), height(value).0)?;
                self.copied_bytes = self.copied_bytes.saturating_add(value.to_string().len());
                let copied = self.copied_bytes;
                if copied > COPIED_BYTES_MAX { Err(JsonPatchError::CopiesTooMuch(copied)) } else { Ok(()) }
            }
            PatchOperation::Move(moved) => {
                let Some(value) = document.pointer(moved.from.as_str()) else { return Ok(()) };
                let (height, nodes) = height(value);
                self.moved_nodes = self.moved_nodes.saturating_add(nodes);
                if self.moved_nodes > MOVED_NODES_MAX {
                    return Err(JsonPatchError::MovesTooMuch);
                }
                fits(moved.path.count(), height)
            }
            PatchOperation::Remove(_) | PatchOperation::Test(_) => Ok(()),
        }
    }
}

fn fits(depth: usize, height: usize) -> Result<(), JsonPatchError> {
    if depth.saturating_add(height) > DEPTH_MAX { Err(JsonPatchError::TooDeep) } else { Ok(()) }
}

/// How many levels a value has, and how many values; without recursion.
fn height(value: &Value) -> (usize, usize) {
    let (mut highest, mut nodes) = (0, 0);
    let mut open = vec![(value, 1)];
    while let Some((value, level)) = open.pop() {
        highest = highest.max(level);
        nodes += 1;
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(map) => open.extend(map.values().map(|item| (item, level + 1))),
            _ => {}
        }
    }
    (highest, nodes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(mut document: Value, operations: Value) -> Result<Value, JsonPatchError> {
        apply(&mut document, &operations).map(|()| document)
    }

    #[test]
    fn operations() {
        let operations = json!([
            {"op": "add", "path": "/a/-", "value": 2},
            {"op": "copy", "from": "/a", "path": "/b"},
            {"op": "move", "from": "/b/0", "path": "/c"},
            {"op": "test", "path": "/c", "value": 1},
            {"op": "replace", "path": "/a", "value": null},
        ]);
        assert_eq!(patched(json!({"a": [1]}), operations).unwrap(), json!({"a": null, "b": [2], "c": 1}));
        let unfit = patched(json!({}), json!([{"op": "remove", "path": "/x"}]));
        assert!(matches!(unfit, Err(JsonPatchError::Unfit(_))));
        assert!(matches!(patched(json!({}), json!({})), Err(JsonPatchError::Malformed(_))));
    }

    #[test]
    fn copies_into_themselves_stay_shallow_and_small() {
        // Each copy goes below the deepest value, and so doubles the document's height.
        let below = |levels: usize| format!("/a{}", "/x".repeat(levels));
        let deep: Vec<Value> = (4..20).map(|n| json!({"op": "copy", "from": "/a", "path": below(1 << n)})).collect();
        let chain = format!("{}1{}", "{\"x\":".repeat(16), "}".repeat(16));
        let document = json!({"a": serde_json::from_str::<Value>(&chain).unwrap()});
        assert_eq!(patched(document, Value::Array(deep)), Err(JsonPatchError::TooDeep));
        let wide: Vec<Value> =
            (0..40).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/k{n}")})).collect();
        let refused = patched(json!({"a": {}}), Value::Array(wide));
        assert!(matches!(refused, Err(JsonPatchError::TooDeep | JsonPatchError::CopiesTooMuch(_))), "{refused:?}");
        let text = "y".repeat(1 << 20);
        let flat: Vec<Value> = (0..40).map(|n| json!({"op": "copy", "from": "/a", "path": format!("/k{n}")})).collect();
        let refused = patched(json!({"a": text}), Value::Array(flat));
        assert!(matches!(refused, Err(JsonPatchError::CopiesTooMuch(_))), "{refused:?}");
    }

    #[test]
    fn moves_and_additions_stay_shallow() {
        let chain: Value = serde_json::from_str(&format!("{}1{}", "{\"x\":".repeat(80), "}".repeat(80))).unwrap();
        let below = format!("/b{}", "/x".repeat(79));
        for operation in [
            json!({"op": "move", "from": "/a", "path": below}),
            json!({"op": "add", "path": below, "value": chain}),
            json!({"op": "replace", "path": below, "value": chain}),
        ] {
            let document = json!({"a": chain, "b": chain});
            assert_eq!(patched(document, json!([operation])), Err(JsonPatchError::TooDeep));
        }
    }

    #[test]
    fn so_many_operations_are_refused() {
        let operations = vec![json!({"op": "test", "path": "", "value": {}}); OPERATIONS_MAX + 1];
        assert_eq!(patched(json!({}), Value::Array(operations)), Err(JsonPatchError::TooMany(OPERATIONS_MAX + 1)));
    }
}
