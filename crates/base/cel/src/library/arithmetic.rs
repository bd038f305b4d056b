//! Operators: arithmetic, order, membership, size.

use std::cmp::Ordering;

use crate::error::Error;
use crate::functions::{Declared, not_bound, shared};
use crate::value::{self, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

/// The overloads of an order, which compares numbers across their types.
macro_rules! ordered {
    ($name:literal, $prefix:literal, $run:expr) => {
        [
            shared(concat!($prefix, "_bool"), $name, "(bool, bool) -> bool", $run),
            shared(concat!($prefix, "_int64"), $name, "(int, int) -> bool", $run),
            shared(concat!($prefix, "_int64_double"), $name, "(int, double) -> bool", $run),
            shared(concat!($prefix, "_int64_uint64"), $name, "(int, uint) -> bool", $run),
            shared(concat!($prefix, "_uint64"), $name, "(uint, uint) -> bool", $run),
            shared(concat!($prefix, "_uint64_double"), $name, "(uint, double) -> bool", $run),
            shared(concat!($prefix, "_uint64_int64"), $name, "(uint, int) -> bool", $run),
            shared(concat!($prefix, "_double"), $name, "(double, double) -> bool", $run),
            shared(concat!($prefix, "_double_int64"), $name, "(double, int) -> bool", $run),
            shared(concat!($prefix, "_double_uint64"), $name, "(double, uint) -> bool", $run),
            shared(concat!($prefix, "_string"), $name, "(string, string) -> bool", $run),
            shared(concat!($prefix, "_bytes"), $name, "(bytes, bytes) -> bool", $run),
            shared(concat!($prefix, "_timestamp"), $name, "(timestamp, timestamp) -> bool", $run),
            shared(concat!($prefix, "_duration"), $name, "(duration, duration) -> bool", $run),
        ]
    };
}

const LESS: [Declared; 14] = ordered!("_<_", "less", less);
const LESS_EQUALS: [Declared; 14] = ordered!("_<=_", "less_equals", less_equals);
const GREATER: [Declared; 14] = ordered!("_>_", "greater", greater);
const GREATER_EQUALS: [Declared; 14] = ordered!("_>=_", "greater_equals", greater_equals);

const OTHERS: [Declared; 44] = [
    not_bound("conditional", "_?_:_", "(bool, A, A) -> A"),
    not_bound("logical_and", "_&&_", "(bool, bool) -> bool"),
    not_bound("logical_or", "_||_", "(bool, bool) -> bool"),
    shared("logical_not", "!_", "(bool) -> bool", not),
    not_bound("not_strictly_false", "@not_strictly_false", "(bool) -> bool"),
    not_bound("equals", "_==_", "(A, A) -> bool"),
    not_bound("not_equals", "_!=_", "(A, A) -> bool"),
    shared("add_bytes", "_+_", "(bytes, bytes) -> bytes", add_values),
    shared("add_double", "_+_", "(double, double) -> double", add_values),
    shared("add_duration_duration", "_+_", "(duration, duration) -> duration", add_values),
    shared("add_duration_timestamp", "_+_", "(duration, timestamp) -> timestamp", add_values),
    shared("add_timestamp_duration", "_+_", "(timestamp, duration) -> timestamp", add_values),
    shared("add_int64", "_+_", "(int, int) -> int", add_values),
    shared("add_list", "_+_", "(list(A), list(A)) -> list(A)", add_values),
    shared("add_string", "_+_", "(string, string) -> string", add_values),
    shared("add_uint64", "_+_", "(uint, uint) -> uint", add_values),
    shared("divide_double", "_/_", "(double, double) -> double", divide),
    shared("divide_int64", "_/_", "(int, int) -> int", divide),
    shared("divide_uint64", "_/_", "(uint, uint) -> uint", divide),
    shared("modulo_int64", "_%_", "(int, int) -> int", modulo),
    shared("modulo_uint64", "_%_", "(uint, uint) -> uint", modulo),
    shared("multiply_double", "_*_", "(double, double) -> double", multiply),
    shared("multiply_int64", "_*_", "(int, int) -> int", multiply),
    shared("multiply_uint64", "_*_", "(uint, uint) -> uint", multiply),
    shared("negate_double", "-_", "(double) -> double", negate),
    shared("negate_int64", "-_", "(int) -> int", negate),
    shared("subtract_double", "_-_", "(double, double) -> double", subtract),
    shared("subtract_duration_duration", "_-_", "(duration, duration) -> duration", subtract),
    shared("subtract_int64", "_-_", "(int, int) -> int", subtract),
    shared("subtract_timestamp_duration", "_-_", "(timestamp, duration) -> timestamp", subtract),
    shared("subtract_timestamp_timestamp", "_-_", "(timestamp, timestamp) -> duration", subtract),
    shared("subtract_uint64", "_-_", "(uint, uint) -> uint", subtract),
    not_bound("index_list", "_[_]", "(list(A), int) -> A"),
    not_bound("index_map", "_[_]", "(map(A, B), A) -> B"),
    shared("in_list", "@in", "(A, list(A)) -> bool", is_in),
    shared("in_map", "@in", "(A, map(A, B)) -> bool", is_in),
    shared("size_bytes", "size", "(bytes) -> int", size),
    shared("bytes_size", "size", "bytes.() -> int", size),
    shared("size_list", "size", "(list(A)) -> int", size),
    shared("list_size", "size", "list(A).() -> int", size),
    shared("size_map", "size", "(map(A, B)) -> int", size),
    shared("map_size", "size", "map(A, B).() -> int", size),
    shared("size_string", "size", "(string) -> int", size),
    shared("string_size", "size", "string.() -> int", size),
];

/// The tables above, one after the other.
pub(super) const FUNCTIONS: &[Declared] = &concatenated();

const COUNT: usize = 14 * 4 + 44;

const fn concatenated() -> [Declared; COUNT] {
    let mut all = [OTHERS[0]; COUNT];
    let mut at = 0;
    while at < 44 {
        all[at] = OTHERS[at];
        at += 1;
    }
    let tables = [LESS, LESS_EQUALS, GREATER, GREATER_EQUALS];
    let mut index = 0;
    while index < 14 * 4 {
        all[at] = tables[index / 14][index % 14];
        at += 1;
        index += 1;
    }
    all
}

/// What upstream says of a first operand without the operation; values that it asks themselves do not say of what.
fn no_overload<'a>(function: &str, operand: &Value<'_>) -> Outcome<'a> {
    Err(match operand {
        Value::String(_) | Value::Timestamp(_) | Value::Duration(_) => Error::NoSuchOverload,
        _ => Error::NoOverload(function.to_owned()),
    })
}

fn not<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn compared<'a>(args: &[Value<'a>], function: &str, holds: fn(Ordering) -> bool) -> Outcome<'a> {
    let [left, right] = args else { return Err(Error::NoSuchOverload) };
    if !left.is_comparable() {
        return no_overload(function, left);
    }
    left.compare(right).map(|ordering| Value::Bool(holds(ordering)))
}

fn less<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    compared(args, "_<_", Ordering::is_lt)
}

fn less_equals<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    compared(args, "_<=_", Ordering::is_le)
}

fn greater<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    compared(args, "_>_", Ordering::is_gt)
}

fn greater_equals<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    compared(args, "_>=_", Ordering::is_ge)
}

fn add_values<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [left, right] => add(left.clone(), right),
        _ => Err(Error::NoSuchOverload),
    }
}

/// Adds two values. A list that nobody else has grows in place.
pub(crate) fn add<'a>(left: Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_add(*b).ok_or(Error::IntOverflow)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a.checked_add(*b).ok_or(Error::UintOverflow)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
        (Value::String(a), Value::String(b)) => Value::string([a.as_str(), b.as_str()].concat()),
        (Value::Bytes(a), Value::Bytes(b)) => Value::bytes([a.as_bytes(), b.as_bytes()].concat()),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.checked_add(*b).ok_or(Error::IntOverflow)?),
        (Value::Duration(duration), Value::Timestamp(at)) => Value::Timestamp(at.plus(duration)?),
        (Value::Timestamp(at), Value::Duration(duration)) => Value::Timestamp(at.plus(*duration)?),
        (Value::List(a), Value::List(b)) => Value::List(value::added(a, b)?),
        (
            left @ (Value::Null
            | Value::Bool(_)
            | Value::Map(_)
            | Value::Type(_)
            | Value::Optional(_)
            | Value::Object(_)
            | Value::Library(_)
            | Value::Check(_)
            | Value::Unknown(_)),
            _,
        ) => return no_overload("_+_", &left),
        _ => return Err(Error::NoSuchOverload),
    })
}

fn subtract<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [left, right] = args else { return Err(Error::NoSuchOverload) };
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_sub(*b).ok_or(Error::IntOverflow)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a.checked_sub(*b).ok_or(Error::UintOverflow)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a - b),
        (Value::Duration(a), Value::Duration(b)) => Value::Duration(a.checked_sub(*b).ok_or(Error::IntOverflow)?),
        (Value::Timestamp(at), Value::Duration(duration)) => {
            Value::Timestamp(at.plus(duration.checked_neg().ok_or(Error::IntOverflow)?)?)
        }
        (Value::Timestamp(a), Value::Timestamp(b)) => Value::Duration(a.since(b)?),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_) | Value::Timestamp(_), _) => {
            return Err(Error::NoSuchOverload);
        }
        _ => return no_overload("_-_", left),
    })
}

fn multiply<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [left, right] = args else { return Err(Error::NoSuchOverload) };
    Ok(match (left, right) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_mul(*b).ok_or(Error::IntOverflow)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a.checked_mul(*b).ok_or(Error::UintOverflow)?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a * b),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), _) => return Err(Error::NoSuchOverload),
        _ => return no_overload("_*_", left),
    })
}

fn divide<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [left, right] = args else { return Err(Error::NoSuchOverload) };
    Ok(match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => return Err(Error::DivisionByZero),
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_div(*b).ok_or(Error::IntOverflow)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a / b),
        (Value::Double(a), Value::Double(b)) => Value::Double(a / b),
        (Value::Int(_) | Value::Uint(_) | Value::Double(_), _) => return Err(Error::NoSuchOverload),
        _ => return no_overload("_/_", left),
    })
}

fn modulo<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [left, right] = args else { return Err(Error::NoSuchOverload) };
    Ok(match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::Uint(_), Value::Uint(0)) => return Err(Error::ModulusByZero),
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_rem(*b).ok_or(Error::IntOverflow)?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a % b),
        (Value::Int(_) | Value::Uint(_), _) => return Err(Error::NoSuchOverload),
        _ => return no_overload("_%_", left),
    })
}

fn negate<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(match args {
        [Value::Int(value)] => Value::Int(value.checked_neg().ok_or(Error::IntOverflow)?),
        [Value::Double(value)] => Value::Double(-value),
        [Value::Duration(value)] => Value::Duration(value.checked_neg().ok_or(Error::IntOverflow)?),
        [Value::Bool(_)] => return Err(Error::NoSuchOverload),
        [other] => return no_overload("-_", other),
        _ => return Err(Error::NoSuchOverload),
    })
}

fn is_in<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [value, Value::List(list)] => value::contains(list, value).map(Value::Bool),
        [key, Value::Map(map)] => match map.find(key) {
            Some(Err(error)) => Err(error),
            found => Ok(Value::Bool(found.is_some())),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn size<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [value] = args else { return Err(Error::NoSuchOverload) };
    value.size().map_or_else(|| no_overload("size", value), |size| Ok(Value::Int(size as i64)))
}
