//! Optional values.

use crate::error::Error;
use crate::functions::{Declared, declared, not_bound};
use crate::value::Value;

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("optional_of", "optional.of", "(V) -> optional(V)", of),
    declared("optional_ofNonZeroValue", "optional.ofNonZeroValue", "(V) -> optional(V)", of_non_zero_value),
    declared("optional_none", "optional.none", "() -> optional(V)", |_| Ok(Value::Optional(None))),
    declared("optional_value", "value", "optional(V).() -> V", value),
    declared("optional_hasValue", "hasValue", "optional(V).() -> bool", has_value),
    not_bound("optional_or_optional", "or", "optional(V).(optional(V)) -> optional(V)"),
    not_bound("optional_orValue_value", "orValue", "optional(V).(V) -> V"),
    not_bound("select_optional_field", "_?._", "(dyn, string) -> optional(V)"),
    not_bound("list_optindex_optional_int", "_[?_]", "(list(V), int) -> optional(V)"),
    not_bound("optional_list_optindex_optional_int", "_[?_]", "(optional(list(V)), int) -> optional(V)"),
    not_bound("map_optindex_optional_value", "_[?_]", "(map(K, V), K) -> optional(V)"),
    not_bound("optional_map_optindex_optional_value", "_[?_]", "(optional(map(K, V)), K) -> optional(V)"),
    not_bound("optional_list_index_int", "_[_]", "(optional(list(V)), int) -> optional(V)"),
    not_bound("optional_map_index_value", "_[_]", "(optional(map(K, V)), K) -> optional(V)"),
    declared("list_last", "last", "list(V).() -> optional(V)", last),
    declared("list_first", "first", "list(V).() -> optional(V)", first),
    declared("optional_unwrap", "optional.unwrap", "(list(optional(V))) -> list(V)", unwrap),
    declared("optional_unwrapOpt", "unwrapOpt", "list(optional(V)).() -> list(V)", unwrap),
];

fn of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    args.first().cloned().map(Value::some).ok_or(Error::NoSuchOverload)
}

fn of_non_zero_value<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let value = args.first().ok_or(Error::NoSuchOverload)?;
    let is_zero = match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.as_str().is_empty(),
        Value::Bytes(bytes) => bytes.as_bytes().is_empty(),
        Value::List(list) => list.is_empty() && !list.has_schema(),
        Value::Map(map) => map.is_empty() && !map.has_schema(),
        Value::Timestamp(at) => at.is_zero(),
        _ => false,
    };
    if is_zero { Ok(Value::Optional(None)) } else { Ok(Value::some(value.clone())) }
}

fn value<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(Some(value))] => Ok(Value::clone(value)),
        [Value::Optional(None)] => Err(Error::EmptyOptional),
        _ => Err(Error::NoSuchOverload),
    }
}

fn has_value<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(Error::NoSuchOverload),
    }
}

fn at<'a>(args: &[Value<'a>], index: fn(usize) -> Option<usize>) -> Outcome<'a> {
    let [Value::List(list)] = args else { return Err(Error::NoSuchOverload) };
    match index(list.len()).and_then(|index| list.get(index)) {
        Some(value) => Ok(Value::some(value?)),
        None => Ok(Value::Optional(None)),
    }
}

fn first<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    at(args, |_| Some(0))
}

fn last<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    at(args, |len| len.checked_sub(1))
}

fn unwrap<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else { return Err(Error::NoSuchOverload) };
    let mut values = Vec::new();
    for value in list.iter() {
        match value? {
            Value::Optional(Some(value)) => values.push(Value::clone(&value)),
            Value::Optional(None) => {}
            other => return Err(Error::Argument(format!("value {other} is not optional"))),
        }
    }
    Ok(Value::list(values))
}
