//! Conversions between types, and the types of values.

use crate::error::Error;
use crate::functions::{Declared, declared, shared};
use crate::value::Value;

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    shared("type", "type", "(A) -> type(A)", type_of),
    declared("bool_to_bool", "bool", "(bool) -> bool", to_bool),
    declared("string_to_bool", "bool", "(string) -> bool", to_bool),
    declared("bytes_to_bytes", "bytes", "(bytes) -> bytes", to_bytes),
    declared("string_to_bytes", "bytes", "(string) -> bytes", to_bytes),
    declared("double_to_double", "double", "(double) -> double", to_double),
    declared("int64_to_double", "double", "(int) -> double", to_double),
    declared("string_to_double", "double", "(string) -> double", to_double),
    declared("uint64_to_double", "double", "(uint) -> double", to_double),
    declared("duration_to_duration", "duration", "(duration) -> duration", to_duration),
    declared("string_to_duration", "duration", "(string) -> duration", to_duration),
    shared("to_dyn", "dyn", "(A) -> dyn", same),
    declared("int64_to_int64", "int", "(int) -> int", to_int),
    declared("double_to_int64", "int", "(double) -> int", to_int),
    declared("duration_to_int64", "int", "(duration) -> int", to_int),
    declared("string_to_int64", "int", "(string) -> int", to_int),
    declared("timestamp_to_int64", "int", "(timestamp) -> int", to_int),
    declared("uint64_to_int64", "int", "(uint) -> int", to_int),
    declared("string_to_string", "string", "(string) -> string", to_text),
    declared("bool_to_string", "string", "(bool) -> string", to_text),
    declared("bytes_to_string", "string", "(bytes) -> string", to_text),
    declared("double_to_string", "string", "(double) -> string", to_text),
    declared("duration_to_string", "string", "(duration) -> string", to_text),
    declared("int64_to_string", "string", "(int) -> string", to_text),
    declared("timestamp_to_string", "string", "(timestamp) -> string", to_text),
    declared("uint64_to_string", "string", "(uint) -> string", to_text),
    declared("timestamp_to_timestamp", "timestamp", "(timestamp) -> timestamp", to_timestamp),
    declared("int64_to_timestamp", "timestamp", "(int) -> timestamp", to_timestamp),
    declared("string_to_timestamp", "timestamp", "(string) -> timestamp", to_timestamp),
    declared("uint64_to_uint64", "uint", "(uint) -> uint", to_uint),
    declared("double_to_uint64", "uint", "(double) -> uint", to_uint),
    declared("int64_to_uint64", "uint", "(int) -> uint", to_uint),
    declared("string_to_uint64", "uint", "(string) -> uint", to_uint),
];

fn type_of<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Unknown(_)] => Err(Error::Argument(
            "type conversion to 'type' not supported for values preserved by x-kubernetes-preserve-unknown-fields"
                .to_owned(),
        )),
        [value] => Ok(Value::type_named(value.type_name())),
        _ => Err(Error::NoSuchOverload),
    }
}

fn same<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    args.first().cloned().ok_or(Error::NoSuchOverload)
}

fn converted<'a>(args: &[Value<'a>], convert: fn(&Value<'a>) -> Outcome<'a>) -> Outcome<'a> {
    args.first().map_or(Err(Error::NoSuchOverload), convert)
}

fn to_bool<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_bool)
}

fn to_bytes<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_bytes)
}

fn to_double<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_double)
}

fn to_duration<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_duration)
}

fn to_int<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_int)
}

pub(super) fn to_text<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_text)
}

fn to_timestamp<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_timestamp)
}

fn to_uint<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    converted(args, Value::to_uint)
}
