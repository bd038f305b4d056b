//! JSON patch (RFC 6902) as upstream's library does it, which is more lenient than the RFC: a member that is absent is like one
//! that is null, so `replace` makes it and `test` finds null in it; indexes may be negative or have leading zeros; an `add` without a
//! value adds null. Clients have come to rely on it.
//!
//! Bounded as upstream in the number of operations and in what they copy, and by us in how deep the result may be.
//!
//! Cost: one pass over each value that an operation adds, copies or moves, and over what stands behind it in a list.
//! Source: apiserver `endpoints/handlers/patch.go`; evanphx/json-patch v4.

use serde_json::{Map, Value};

use crate::decode::{DEPTH_MAX, Problem};
use crate::go;

/// Operations that one patch may have.
pub const OPERATIONS_MAX: usize = 10_000;
/// Bytes that all copies of one patch may add, as large as a request may be.
pub const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Nodes of a document that one patch may move: those that its moves look at, since knowing how deep a move leads is not cheap, and the
/// items of lists that others push aside.
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
    #[error("{operation} at {path:?}: {why}")]
    Unfit { operation: String, path: String, why: &'static str },
}

/// Why a test fails.
const OTHER_VALUE: &str = "the value is another one";

impl JsonPatchError {
    /// Whether the document has another value than a test of the patch asks for.
    pub fn is_failed_test(&self) -> bool {
        matches!(self, Self::Unfit { why, .. } if *why == OTHER_VALUE)
    }
}

/// Applies the operations to a document. A document that was refused is half changed.
pub fn apply(document: &mut Value, operations: &Value) -> Result<(), JsonPatchError> {
    let operations = match operations {
        Value::Array(operations) => operations.as_slice(),
        Value::Null => &[],
        other => return Err(malformed(other, "", "[]handlers.jsonPatchOp")),
    };
    if operations.len() > OPERATIONS_MAX {
        return Err(JsonPatchError::TooMany(operations.len()));
    }
    let operations: Vec<Operation<'_>> = operations.iter().map(Operation::read).collect::<Result<_, _>>()?;
    let mut taken = Taken::default();
    operations.iter().try_for_each(|operation| operation.apply(document, &mut taken))
}

/// Fields of operations that there are not.
pub fn unknown_fields(operations: &Value) -> Vec<Problem> {
    let operations = operations.as_array().into_iter().flatten().enumerate();
    let fields = operations.flat_map(|(place, operation)| {
        let names = operation.as_object().into_iter().flat_map(Map::keys);
        names.filter(|name| !FIELDS.contains(&name.as_str())).map(move |name| format!("[{place}].{name}"))
    });
    fields.take(UNKNOWN_MAX).map(Problem::Unknown).collect()
}

/// As many of them are told of.
const UNKNOWN_MAX: usize = 100;

/// What an operation says.
const FIELDS: [&str; 4] = ["op", "path", "from", "value"];

/// One step of a patch. What it does not say is `None`.
#[derive(Default)]
struct Operation<'a> {
    op: Option<&'a str>,
    path: Option<&'a str>,
    from: Option<&'a str>,
    /// Null and nothing are told apart by nobody but `test`, which finds either in what is absent.
    value: Option<&'a Value>,
}

/// What the operations so far have taken.
#[derive(Default)]
struct Taken {
    copied_bytes: usize,
    moved_nodes: usize,
}

impl Taken {
    fn move_nodes(&mut self, count: usize) -> Result<(), JsonPatchError> {
        self.moved_nodes = self.moved_nodes.saturating_add(count);
        if self.moved_nodes > MOVED_NODES_MAX { Err(JsonPatchError::MovesTooMuch) } else { Ok(()) }
    }

    /// Counts the items that make room, or close up, when one comes or goes at the path.
    fn shift(&mut self, document: &mut Value, path: &str) -> Result<(), JsonPatchError> {
        match place(document, path) {
            Ok(Place::Item(items, token)) if token != "-" => {
                let index = index(&token, items.len() + 1).unwrap_or(items.len());
                self.move_nodes(items.len() - index)
            }
            _ => Ok(()),
        }
    }
}

impl<'a> Operation<'a> {
    fn read(operation: &'a Value) -> Result<Self, JsonPatchError> {
        let map = match operation {
            Value::Object(map) => map,
            // An operation that is none: refused when its turn comes.
            Value::Null => return Ok(Self::default()),
            other => return Err(malformed(other, "", "handlers.jsonPatchOp")),
        };
        let text = |field: &str| match map.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(malformed(other, field, "string")),
        };
        Ok(Self { op: text("op")?, path: text("path")?, from: text("from")?, value: map.get("value") })
    }

    fn apply(&self, document: &mut Value, taken: &mut Taken) -> Result<(), JsonPatchError> {
        let op = self.op.unwrap_or("unknown");
        let refuse = |path: Option<&str>, why| {
            let path = path.unwrap_or_default().to_owned();
            Err(JsonPatchError::Unfit { operation: op.to_owned(), path, why })
        };
        let Some(path) = self.path else { return refuse(None, "the operation has no path") };
        let value = self.value.unwrap_or(&Value::Null);
        let done = match op {
            "add" => {
                fits(depth(path), height(value).0)?;
                taken.shift(document, path)?;
                add(document, path, value.clone())
            }
            "remove" => {
                taken.shift(document, path)?;
                remove(document, path).map(drop)
            }
            "replace" if path.is_empty() && value.is_object() => {
                *document = value.clone();
                Ok(())
            }
            "replace" if path.is_empty() => Err("it must be an object"),
            "replace" => {
                fits(depth(path), height(value).0)?;
                replace(document, path, value.clone())
            }
            "test" => test(document, path, self.value),
            "copy" | "move" => {
                let Some(from) = self.from else { return refuse(None, "the operation has no from") };
                let found = match get(document, from) {
                    Ok(found) => found,
                    Err(why) => return refuse(Some(from), why),
                };
                let (levels, nodes) = found.map_or((1, 1), height);
                if op == "copy" {
                    fits(depth(path), levels)?;
                    let copy = found.cloned().unwrap_or_default();
                    taken.copied_bytes = taken.copied_bytes.saturating_add(copy.to_string().len());
                    if taken.copied_bytes > COPIED_BYTES_MAX {
                        return Err(JsonPatchError::CopiesTooMuch(taken.copied_bytes));
                    }
                    taken.shift(document, path)?;
                    add(document, path, copy)
                } else {
                    taken.move_nodes(nodes)?;
                    fits(depth(path), levels)?;
                    taken.shift(document, from)?;
                    taken.shift(document, path)?;
                    remove(document, from).and_then(|moved| add(document, path, moved))
                }
            }
            _ => Err("there is no such operation"),
        };
        done.or_else(|why| refuse(Some(path), why))
    }
}

/// Go's words for a value of the wrong type.
fn malformed(found: &Value, field: &str, wanted: &str) -> JsonPatchError {
    let found = go::json_type(found);
    let place = match field {
        "" => "value".to_owned(),
        field => format!("struct field jsonPatchOp.{field}"),
    };
    JsonPatchError::Malformed(format!("json: cannot unmarshal {found} into Go {place} of type {wanted}"))
}

const NO_PLACE: &str = "there is no such place";
const NO_INDEX: &str = "there is no such index";
const NO_KEY: &str = "there is no such key";

/// Where a value is, or would be.
enum Place<'a> {
    Member(&'a mut Map<String, Value>, String),
    Item(&'a mut Vec<Value>, String),
}

/// How many levels stand above the value at the path.
fn depth(path: &str) -> usize {
    path.matches('/').count()
}

/// The tokens of a path. What stands before the first slash does not count.
fn tokens(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// Follows a path up to its last token; the object or list that it leads to must be there.
fn place<'a>(document: &'a mut Value, path: &str) -> Result<Place<'a>, &'static str> {
    let mut tokens: Vec<String> = tokens(path).collect();
    let last = tokens.pop().ok_or(NO_PLACE)?;
    let mut at = document;
    for token in &tokens {
        at = match at {
            Value::Object(map) => map.get_mut(token),
            Value::Array(items) => index(token, items.len()).and_then(|index| items.get_mut(index)),
            _ => None,
        }
        .ok_or(NO_PLACE)?;
    }
    match at {
        Value::Object(map) => Ok(Place::Member(map, last)),
        Value::Array(items) => Ok(Place::Item(items, last)),
        _ => Err(NO_PLACE),
    }
}

/// The index that a token means in a list of so many items; a negative one counts from the end.
fn index(token: &str, count: usize) -> Option<usize> {
    let index: isize = token.parse().ok()?;
    let index = if index < 0 { count.checked_sub(index.unsigned_abs())? } else { index.unsigned_abs() };
    (index < count).then_some(index)
}

/// The value at a path: `None` for a member that is not there.
fn get<'a>(document: &'a mut Value, path: &str) -> Result<Option<&'a Value>, &'static str> {
    match place(document, path)? {
        Place::Member(map, key) => Ok(map.get(&key)),
        Place::Item(items, token) => index(&token, items.len()).map(|index| Some(&items[index])).ok_or(NO_INDEX),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), &'static str> {
    match place(document, path)? {
        Place::Member(map, key) => drop(map.insert(key, value)),
        Place::Item(items, token) if token == "-" => items.push(value),
        // One place more than there are items.
        Place::Item(items, token) => items.insert(index(&token, items.len() + 1).ok_or(NO_INDEX)?, value),
    }
    Ok(())
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), &'static str> {
    match place(document, path)? {
        Place::Member(map, key) => drop(map.insert(key, value)),
        Place::Item(items, token) => {
            let index = index(&token, items.len()).ok_or(NO_INDEX)?;
            items[index] = value;
        }
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, &'static str> {
    match place(document, path)? {
        Place::Member(map, key) => map.remove(&key).ok_or(NO_KEY),
        Place::Item(items, token) => Ok(items.remove(index(&token, items.len()).ok_or(NO_INDEX)?)),
    }
}

fn test(document: &mut Value, path: &str, wanted: Option<&Value>) -> Result<(), &'static str> {
    let found = if path.is_empty() { Some(&*document) } else { get(document, path)? };
    let is_same = match found.filter(|found| !found.is_null()) {
        None => wanted.is_none_or(Value::is_null),
        Some(found) => wanted == Some(found),
    };
    if is_same { Ok(()) } else { Err(OTHER_VALUE) }
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
        assert_eq!(patched(json!({}), Value::Null), Ok(json!({})));
        let unknown = unknown_fields(&json!([{"op": "test", "x": 1}, {"y": 1}]));
        assert_eq!(unknown, ["[0].x", "[1].y"].map(|path| Problem::Unknown(path.to_owned())));
        for malformed in [json!({}), json!([1]), json!([{"op": 1, "path": "/a"}])] {
            assert!(matches!(patched(json!({}), malformed), Err(JsonPatchError::Malformed(_))));
        }
    }

    #[test]
    fn as_lenient_as_upstream() {
        let document = json!({"a": [0, 1, 2], "n": null, "s": "text", "o": {"": 1, "a/b~1": 2}});
        let done = |operation: Value| patched(document.clone(), json!([operation]));
        for (operation, pointer, expected) in [
            (json!({"op": "replace", "path": "/new", "value": 1}), "/new", json!(1)),
            (json!({"op": "add", "path": "/new"}), "/new", Value::Null),
            (json!({"op": "copy", "from": "/absent", "path": "/new"}), "/new", Value::Null),
            (json!({"op": "add", "path": "/a/01", "value": 9}), "/a", json!([0, 9, 1, 2])),
            (json!({"op": "add", "path": "/a/-1", "value": 9}), "/a", json!([0, 1, 2, 9])),
            (json!({"op": "add", "path": "/a/3", "value": 9}), "/a", json!([0, 1, 2, 9])),
            (json!({"op": "remove", "path": "/a/-1"}), "/a", json!([0, 1])),
            (json!({"op": "replace", "path": "/a/+2", "value": 9}), "/a", json!([0, 1, 9])),
            (json!({"op": "replace", "path": "before/s", "value": 9}), "/s", json!(9)),
            (json!({"op": "remove", "path": "/o/a~1b~01"}), "/o", json!({"": 1})),
            (json!({"op": "remove", "path": "/o/"}), "/o", json!({"a/b~1": 2})),
            (json!({"op": "test", "path": "/absent", "value": null}), "/s", json!("text")),
            (json!({"op": "test", "path": "/n"}), "/s", json!("text")),
            (json!({"op": "test", "path": "/a/-3", "value": 0}), "/s", json!("text")),
            (json!({"op": "replace", "path": "", "value": {"b": 1}}), "/b", json!(1)),
        ] {
            let result = done(operation.clone()).unwrap_or_else(|error| panic!("{operation}: {error}"));
            assert_eq!(result.pointer(pointer), Some(&expected), "{operation}");
        }
        for operation in [
            json!(null),
            json!({}),
            json!({"op": "set", "path": "/a", "value": 1}),
            json!({"op": "add", "value": 1}),
            json!({"op": "add", "path": "", "value": {}}),
            json!({"op": "add", "path": "/a/4", "value": 1}),
            json!({"op": "add", "path": "/a/x", "value": 1}),
            json!({"op": "add", "path": "/n/x", "value": 1}),
            json!({"op": "add", "path": "/s/x", "value": 1}),
            json!({"op": "replace", "path": "", "value": 1}),
            json!({"op": "replace", "path": "/a/-", "value": 1}),
            json!({"op": "replace", "path": "/a/3", "value": 1}),
            json!({"op": "remove", "path": "/absent"}),
            json!({"op": "remove", "path": "/a/-4"}),
            json!({"op": "move", "path": "/b"}),
            json!({"op": "move", "from": "/absent", "path": "/b"}),
            json!({"op": "copy", "from": "/a/7", "path": "/b"}),
            json!({"op": "test", "path": "/s", "value": "other"}),
            json!({"op": "test", "path": "/s", "value": null}),
            json!({"op": "test", "path": "/s"}),
        ] {
            assert!(matches!(done(operation.clone()), Err(JsonPatchError::Unfit { .. })), "{operation}");
        }
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
        assert!(matches!(refused, Err(JsonPatchError::CopiesTooMuch(_))), "{refused:?}");
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
    fn long_lists_are_not_pushed_aside_for_ever() {
        let document = json!({"a": vec![0; 100_000]});
        for operation in [
            json!({"op": "add", "path": "/a/0", "value": 0}),
            json!({"op": "move", "from": "/a/0", "path": "/a/-"}),
            json!({"op": "copy", "from": "/a/1", "path": "/a/0"}),
            json!({"op": "remove", "path": "/a/0"}),
        ] {
            let many = Value::Array(vec![operation.clone(); 1000]);
            assert_eq!(patched(document.clone(), many), Err(JsonPatchError::MovesTooMuch), "{operation}");
            assert!(patched(document.clone(), json!([operation])).is_ok());
        }
        let at_end = vec![json!({"op": "add", "path": "/a/-", "value": 0}); 1000];
        assert!(patched(document, Value::Array(at_end)).is_ok());
    }

    #[test]
    fn so_many_operations_are_refused() {
        let operations = vec![json!({"op": "test", "path": "", "value": {}}); OPERATIONS_MAX + 1];
        assert_eq!(patched(json!({}), Value::Array(operations)), Err(JsonPatchError::TooMany(OPERATIONS_MAX + 1)));
    }
}
