//! Lists, as Kubernetes' own library has them, and what two-variable macros need of maps.

use std::cmp::Ordering;

use super::arithmetic::add;
use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::value::{List, Map, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("list_int_is_sorted_bool", "isSorted", "list(int).() -> bool", is_sorted),
    declared("list_uint_is_sorted_bool", "isSorted", "list(uint).() -> bool", is_sorted),
    declared("list_double_is_sorted_bool", "isSorted", "list(double).() -> bool", is_sorted),
    declared("list_bool_is_sorted_bool", "isSorted", "list(bool).() -> bool", is_sorted),
    declared("list_duration_is_sorted_bool", "isSorted", "list(duration).() -> bool", is_sorted),
    declared("list_timestamp_is_sorted_bool", "isSorted", "list(timestamp).() -> bool", is_sorted),
    declared("list_string_is_sorted_bool", "isSorted", "list(string).() -> bool", is_sorted),
    declared("list_bytes_is_sorted_bool", "isSorted", "list(bytes).() -> bool", is_sorted),
    declared("list_int_sum_int", "sum", "list(int).() -> int", |args| sum(args, Value::Int(0))),
    declared("list_uint_sum_uint", "sum", "list(uint).() -> uint", |args| sum(args, Value::Uint(0))),
    declared("list_double_sum_double", "sum", "list(double).() -> double", |args| sum(args, Value::Double(0.0))),
    declared("list_duration_sum_duration", "sum", "list(duration).() -> duration", |args| {
        sum(args, Value::Duration(0))
    }),
    declared("list_int_max_int", "max", "list(int).() -> int", max),
    declared("list_uint_max_uint", "max", "list(uint).() -> uint", max),
    declared("list_double_max_double", "max", "list(double).() -> double", max),
    declared("list_bool_max_bool", "max", "list(bool).() -> bool", max),
    declared("list_duration_max_duration", "max", "list(duration).() -> duration", max),
    declared("list_timestamp_max_timestamp", "max", "list(timestamp).() -> timestamp", max),
    declared("list_string_max_string", "max", "list(string).() -> string", max),
    declared("list_bytes_max_bytes", "max", "list(bytes).() -> bytes", max),
    declared("list_int_min_int", "min", "list(int).() -> int", min),
    declared("list_uint_min_uint", "min", "list(uint).() -> uint", min),
    declared("list_double_min_double", "min", "list(double).() -> double", min),
    declared("list_bool_min_bool", "min", "list(bool).() -> bool", min),
    declared("list_duration_min_duration", "min", "list(duration).() -> duration", min),
    declared("list_timestamp_min_timestamp", "min", "list(timestamp).() -> timestamp", min),
    declared("list_string_min_string", "min", "list(string).() -> string", min),
    declared("list_bytes_min_bytes", "min", "list(bytes).() -> bytes", min),
    declared("list_a_index_of_int", "indexOf", "list(A).(A) -> int", index_of),
    declared("list_a_last_index_of_int", "lastIndexOf", "list(A).(A) -> int", last_index_of),
];

/// New in v1.37, so not for expressions that v1.36 may have to run.
pub(super) const INCLUDES: &[Declared] =
    &[declared("list_includes_dyn_dyn", "includes", "dyn.(dyn) -> bool", includes)];

pub(super) const COMPREHENSIONS: &[Declared] = &[
    declared("@mapInsert_map_key_value", "cel.@mapInsert", "(map(K, V), K, V) -> map(K, V)", insert),
    declared("@mapInsert_map_map", "cel.@mapInsert", "(map(K, V), map(K, V)) -> map(K, V)", insert),
];

fn list<'v, 'a>(args: &'v [Value<'a>]) -> Result<&'v List<'a>, Error> {
    match args {
        [Value::List(list), ..] => Ok(list),
        _ => Err(Error::NoSuchOverload),
    }
}

fn is_sorted<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let mut last: Option<Value<'a>> = None;
    for value in list(args)?.iter() {
        let value = value?;
        if !value.is_comparable() {
            return Err(Error::NoSuchOverload);
        }
        if last.is_some_and(|last| last.compare(&value) == Ok(Ordering::Greater)) {
            return Ok(Value::Bool(false));
        }
        last = Some(value);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(args: &[Value<'a>], zero: Value<'a>) -> Outcome<'a> {
    list(args)?.iter().try_fold(zero, |sum, value| add(sum, &value?))
}

/// The element that comes first or last; of equal ones, the first in the list.
fn extreme<'a>(args: &[Value<'a>], name: &str, replaces: Ordering) -> Outcome<'a> {
    let mut best: Option<Value<'a>> = None;
    for value in list(args)?.iter() {
        let value = value?;
        if !value.is_comparable() {
            return Err(Error::NoSuchOverload);
        }
        if best.as_ref().is_none_or(|best| best.compare(&value) == Ok(replaces)) {
            best = Some(value);
        }
    }
    best.ok_or_else(|| Error::Argument(format!("{name} called on empty list")))
}

fn max<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    extreme(args, "max", Ordering::Less)
}

fn min<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    extreme(args, "min", Ordering::Greater)
}

fn found<'a>(args: &[Value<'a>], mut indexes: impl Iterator<Item = usize>) -> Outcome<'a> {
    let [Value::List(list), item] = args else { return Err(Error::NoSuchOverload) };
    let is_item =
        |index: &usize| list.get(*index).is_some_and(|value| value.is_ok_and(|v| v.equals_not_null(item) == Ok(true)));
    Ok(Value::Int(indexes.find(is_item).map_or(-1, |index| index as i64)))
}

fn index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    found(args, 0..list(args)?.len())
}

fn last_index_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    found(args, (0..list(args)?.len()).rev())
}

fn includes<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [target, item] = args else { return Err(Error::NoSuchOverload) };
    let is_item = |value: &Value<'a>| value.equals_not_null(item) == Ok(true);
    Ok(Value::Bool(match target {
        Value::List(list) => list.iter().any(|value| value.is_ok_and(|value| is_item(&value))),
        value => is_item(value),
    }))
}

fn insert<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Map(map), rest @ ..] => inserted(map.clone(), rest).map(Value::Map),
        _ => Err(Error::NoSuchOverload),
    }
}

/// Adds an entry, or all entries of a map, to a map.
pub(crate) fn inserted<'a>(map: Map<'a>, args: &[Value<'a>]) -> Result<Map<'a>, Error> {
    match args {
        [key, value] => map.inserted(key.clone(), value.clone()),
        [Value::Map(others)] => {
            let mut grown = map;
            for key in others.keys() {
                if let Some(value) = others.find(&key) {
                    grown = grown.inserted(key, value?)?;
                }
            }
            Ok(grown)
        }
        _ => Err(Error::NoSuchOverload),
    }
}
