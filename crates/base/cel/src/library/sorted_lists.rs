//! Lists, as cel-go's extension has them in its version 3: parts, flattening, sorting, ranges.

use std::cmp::Ordering;

use crate::error::Error;
use crate::functions::{Declared, Style, declared, shared};
use crate::value::{List, Value};
use crate::work;

type Outcome<'a> = Result<Value<'a>, Error>;

/// The longest range.
const RANGE_MAX: i64 = 1_000_000;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("list_slice", "slice", "list(T).(int, int) -> list(T)", slice),
    Declared {
        id: "list_flatten",
        function: "flatten",
        signature: "list(list(T)).() -> list(T)",
        style: Style::Unguarded(flatten),
    },
    Declared {
        id: "list_flatten_int",
        function: "flatten",
        signature: "list(dyn).(int) -> list(dyn)",
        style: Style::Unguarded(flatten),
    },
    shared("list_int_sort", "sort", "list(int).() -> list(int)", sort),
    shared("list_uint_sort", "sort", "list(uint).() -> list(uint)", sort),
    shared("list_double_sort", "sort", "list(double).() -> list(double)", sort),
    shared("list_bool_sort", "sort", "list(bool).() -> list(bool)", sort),
    shared("list_google.protobuf.Duration_sort", "sort", "list(duration).() -> list(duration)", sort),
    shared("list_google.protobuf.Timestamp_sort", "sort", "list(timestamp).() -> list(timestamp)", sort),
    shared("list_string_sort", "sort", "list(string).() -> list(string)", sort),
    shared("list_bytes_sort", "sort", "list(bytes).() -> list(bytes)", sort),
    shared("list_int_sortByAssociatedKeys", BY_KEYS, "list(T).(list(int)) -> list(T)", sort_by_keys),
    shared("list_uint_sortByAssociatedKeys", BY_KEYS, "list(T).(list(uint)) -> list(T)", sort_by_keys),
    shared("list_double_sortByAssociatedKeys", BY_KEYS, "list(T).(list(double)) -> list(T)", sort_by_keys),
    shared("list_bool_sortByAssociatedKeys", BY_KEYS, "list(T).(list(bool)) -> list(T)", sort_by_keys),
    shared(
        "list_google.protobuf.Duration_sortByAssociatedKeys",
        BY_KEYS,
        "list(T).(list(duration)) -> list(T)",
        sort_by_keys,
    ),
    shared(
        "list_google.protobuf.Timestamp_sortByAssociatedKeys",
        BY_KEYS,
        "list(T).(list(timestamp)) -> list(T)",
        sort_by_keys,
    ),
    shared("list_string_sortByAssociatedKeys", BY_KEYS, "list(T).(list(string)) -> list(T)", sort_by_keys),
    shared("list_bytes_sortByAssociatedKeys", BY_KEYS, "list(T).(list(bytes)) -> list(T)", sort_by_keys),
    declared("lists_range", "lists.range", "(int) -> list(int)", range),
    declared("list_reverse", "reverse", "list(T).() -> list(T)", reverse),
    declared("list_distinct", "distinct", "list(T).() -> list(T)", distinct),
];

const BY_KEYS: &str = "@sortByAssociatedKeys";

fn wrong<T>(message: String) -> Result<T, Error> {
    Err(Error::Argument(message))
}

fn slice<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else { return Err(Error::NoSuchOverload) };
    let cannot = |why: &str| wrong(format!("cannot slice({start}, {end}), {why}"));
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return cannot("negative indexes not supported");
    };
    if from > to {
        return cannot("start index must be less than or equal to end index");
    }
    if list.len() < to {
        return cannot(&format!("list is length {}", list.len()));
    }
    let values: Result<Vec<_>, _> = (from..to).map_while(|index| list.get(index)).collect();
    Ok(Value::list(values?))
}

fn flatten<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (list, depth) = match args {
        [Value::List(list)] => (list, 1),
        [Value::List(list), Value::Int(depth)] => (list, *depth),
        [target, depths @ ..] => {
            let target = if matches!(target, Value::Map(_)) { "map(dyn, dyn)" } else { target.type_name() };
            let depths: Vec<&str> = depths.iter().map(Value::type_name).collect();
            return Err(Error::NoOverload(format!("{target}.flatten({})", depths.join(", "))));
        }
        [] => return Err(Error::NoSuchOverload),
    };
    if depth < 0 {
        return wrong("level must be non-negative".to_owned());
    }
    let mut flat = Vec::new();
    flatten_into(list, depth, &mut flat)?;
    Ok(Value::list(flat))
}

/// Recurses as deep as values nest, which is bounded.
fn flatten_into<'a>(list: &List<'a>, depth: i64, flat: &mut Vec<Value<'a>>) -> Result<(), Error> {
    work::spend(list.len())?;
    for value in list.iter() {
        match value? {
            Value::List(nested) if depth > 0 => flatten_into(&nested, depth - 1, flat)?,
            value => flat.push(value),
        }
    }
    Ok(())
}

fn sort<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::List(list)] => sorted(list, list),
        [Value::String(_) | Value::Timestamp(_) | Value::Duration(_)] => Err(Error::NoSuchOverload),
        _ => Err(Error::NoOverload("sort".to_owned())),
    }
}

fn sort_by_keys<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::List(list), Value::List(keys)] => sorted(list, keys),
        _ => Err(Error::NoOverload(BY_KEYS.to_owned())),
    }
}

fn sorted<'a>(list: &List<'a>, keys: &List<'a>) -> Outcome<'a> {
    if list.len() != keys.len() {
        return wrong(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {} and {} elements respectively",
            list.len(),
            keys.len()
        ));
    }
    let keys = keys.values()?;
    let Some(first) = keys.first() else { return Ok(Value::List(list.clone())) };
    if !first.is_comparable() {
        return wrong("list elements must be comparable".to_owned());
    }
    if keys.iter().any(|key| key.type_name() != first.type_name()) {
        return wrong("list elements must have the same type".to_owned());
    }
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|a, b| keys[*a].compare(&keys[*b]).unwrap_or(Ordering::Equal));
    let values: Result<Vec<_>, _> = order.into_iter().map_while(|index| list.get(index)).collect();
    Ok(Value::list(values?))
}

fn range<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Int(size)] = args else { return Err(Error::NoSuchOverload) };
    if *size < 0 {
        return wrong(format!("lists.range: size must be non-negative, got {size}"));
    }
    if *size > RANGE_MAX {
        return wrong(format!("lists.range: size {size} exceeds maximum allowed ({RANGE_MAX})"));
    }
    Ok(Value::list((0..*size).map(Value::Int).collect()))
}

fn reverse<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else { return Err(Error::NoSuchOverload) };
    let mut values = list.values()?;
    values.reverse();
    Ok(Value::list(values))
}

fn distinct<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::List(list)] = args else { return Err(Error::NoSuchOverload) };
    let mut distinct: Vec<Value<'a>> = Vec::new();
    for value in list.iter() {
        let value = value?;
        work::spend(distinct.len())?;
        if !distinct.iter().any(|have| value.equals_not_null(have) == Ok(true)) {
            distinct.push(value);
        }
    }
    Ok(Value::list(distinct))
}
