//! Semantic versions.

use std::cmp::Ordering;

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::kinds::semver::Semver;
use crate::value::{Opaque, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("string_to_semver", "semver", "(string) -> Semver", semver),
    declared("string_bool_to_semver", "semver", "(string, bool) -> Semver", semver),
    declared("is_semver_string", "isSemver", "(string) -> bool", is_semver),
    declared("is_semver_string_bool", "isSemver", "(string, bool) -> bool", is_semver),
    declared("semver_is_greater_than", "isGreaterThan", "Semver.(Semver) -> bool", is_greater_than),
    declared("semver_is_less_than", "isLessThan", "Semver.(Semver) -> bool", is_less_than),
    declared("semver_compare_to", "compareTo", "Semver.(Semver) -> int", compare_to),
    declared("semver_major", "major", "Semver.() -> int", |args| part(args, |version| version.numbers[0])),
    declared("semver_minor", "minor", "Semver.() -> int", |args| part(args, |version| version.numbers[1])),
    declared("semver_patch", "patch", "Semver.() -> int", |args| part(args, |version| version.numbers[2])),
];

fn read(args: &[Value<'_>]) -> Result<Result<Semver, String>, Error> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Ok(Semver::read(text.as_str())),
        [Value::String(text), Value::Bool(true)] => Ok(Semver::read_normalized(text.as_str())),
        _ => Err(Error::NoSuchOverload),
    }
}

fn semver<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let version = read(args)?.map_err(Error::Argument)?;
    Ok(Value::library(Opaque::Semver(version)))
}

fn is_semver<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(read(args)?.is_ok()))
}

fn one<'v>(value: Option<&'v Value<'_>>) -> Result<&'v Semver, Error> {
    match value {
        Some(Value::Library(opaque)) => match &**opaque {
            Opaque::Semver(version) => Ok(version),
            _ => Err(Error::NoSuchOverload),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn part<'a>(args: &[Value<'a>], of: fn(&Semver) -> u64) -> Outcome<'a> {
    Ok(Value::Int(of(one(args.first())?) as i64))
}

fn order(args: &[Value<'_>]) -> Result<Ordering, Error> {
    Ok(one(args.first())?.order(one(args.get(1))?))
}

fn is_greater_than<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    order(args).map(|order| Value::Bool(order.is_gt()))
}

fn is_less_than<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    order(args).map(|order| Value::Bool(order.is_lt()))
}

fn compare_to<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    order(args).map(|order| Value::Int(order as i64))
}
