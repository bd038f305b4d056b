//! Objects of built-in kinds, and what holds of each of them.

use serde::Deserialize;
use serde_json::Value;
use windlass_api::GroupVersion;
use windlass_machinery::schema::{Schema, TypeId};
use windlass_machinery::{decode, protobuf, yaml};

/// A document and a patch, or what else comes in parts, stand in one input with this line between them.
const SEPARATOR: &[u8] = b"\n%%\n";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// The type that an object says it is of; one that says none that is known counts as a Pod.
pub(crate) fn type_of(object: &Value) -> TypeId {
    let meta = TypeMeta::deserialize(object).unwrap_or_default();
    type_named(&meta.api_version, &meta.kind)
}

pub(crate) fn type_named(api_version: &str, kind: &str) -> TypeId {
    GroupVersion::parse(api_version)
        .and_then(|of| Schema::object_type(&of.group, &of.version, kind))
        .or_else(|| Schema::object_type("", "v1", "Pod"))
        .expect("there are Pods")
}

/// The first two parts of an input.
pub(crate) fn parts(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = input.windows(SEPARATOR.len()).position(|window| window == SEPARATOR)?;
    Some((&input[..at], &input[at + SEPARATOR.len()..]))
}

/// How many levels a tree has, without recursion.
pub(crate) fn levels(value: &Value) -> usize {
    let (mut highest, mut open) = (0, vec![(value, 0)]);
    while let Some((value, level)) = open.pop() {
        highest = highest.max(level);
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(map) => open.extend(map.values().map(|item| (item, level + 1))),
            _ => {}
        }
    }
    highest
}

/// Panics unless an object that was read is the same after each way of writing and reading it.
pub(crate) fn survives(id: TypeId, object: &Value) {
    let schema = Schema::builtin();
    // These two stand in the envelope, not in the object.
    let mut object = object.clone();
    for name in ["apiVersion", "kind"] {
        windlass_machinery::tree::remove(&mut object, name);
    }
    let object = &object;
    assert!(levels(object) <= decode::DEPTH_MAX, "an object of {} levels was read", levels(object));
    let again = decode::from_value(schema, id, object.clone()).expect("a canonical object is read again");
    assert_eq!(&again.value, object, "a canonical object is canonical");
    assert!(again.problems.is_empty(), "a canonical object has problems: {:?}", again.problems);
    let json = serde_json::to_vec(object).expect("a tree is written as JSON");
    assert_eq!(&decode::from_json(schema, id, &json).expect("JSON is read again").value, object, "by JSON");
    let text = yaml::write(object);
    let document =
        yaml::parse(text.as_bytes()).unwrap_or_else(|error| panic!("YAML is not read again: {error}\n{text}"));
    let by_yaml = decode::from_value(schema, id, document.value).expect("YAML holds it").value;
    assert_eq!(as_yaml_knows(by_yaml), as_yaml_knows(object.clone()), "by YAML:\n{text}");
    let bytes = protobuf::encode(schema, id, &json).expect("an object is written as protobuf");
    let tree = protobuf::decode(schema, id, &bytes).expect("protobuf is read again");
    assert_eq!(&decode::from_value(schema, id, tree).expect("protobuf holds it").value, object, "by protobuf");
}

/// The tree with floats without a fraction as integers: YAML does not tell `1.0` from `1`, which matters where a field has no type.
fn as_yaml_knows(mut value: Value) -> Value {
    let mut open = vec![&mut value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => open.extend(map.values_mut()),
            Value::Number(number) if number.is_f64() => {
                let float = number.as_f64().unwrap_or_default();
                if float.fract() == 0.0 && float.abs() < 1e15 {
                    *value = Value::from(float as i64);
                }
            }
            _ => {}
        }
    }
    value
}
