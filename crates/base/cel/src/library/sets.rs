//! Lists as sets.

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::value::{List, Value, contains};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("list_sets_contains_list", "sets.contains", "(list(T), list(T)) -> bool", contains_all),
    declared("list_sets_equivalent_list", "sets.equivalent", "(list(T), list(T)) -> bool", equivalent),
    declared("list_sets_intersects_list", "sets.intersects", "(list(T), list(T)) -> bool", intersects),
];

fn lists<'v, 'a>(args: &'v [Value<'a>]) -> Result<(&'v List<'a>, &'v List<'a>), Error> {
    match args {
        [Value::List(a), Value::List(b)] => Ok((a, b)),
        _ => Err(Error::NoSuchOverload),
    }
}

fn has_all<'a>(list: &List<'a>, others: &List<'a>) -> Result<bool, Error> {
    for value in others.iter() {
        if !contains(list, &value?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains_all<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (list, others) = lists(args)?;
    has_all(list, others).map(Value::Bool)
}

fn equivalent<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (a, b) = lists(args)?;
    Ok(Value::Bool(has_all(a, b)? && has_all(b, a)?))
}

fn intersects<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (a, b) = lists(args)?;
    for value in a.iter() {
        if contains(b, &value?) == Ok(true) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
