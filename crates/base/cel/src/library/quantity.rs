//! Quantities: `500m`, `1.5Gi`.

use std::cmp::Ordering;

use windlass_api::Quantity;

use crate::error::Error;
use crate::functions::{Declared, declared};
use crate::kinds::quantity::{Amount, QuantityValue};
use crate::value::{Opaque, Value};

type Outcome<'a> = Result<Value<'a>, Error>;

pub(super) const FUNCTIONS: &[Declared] = &[
    declared("string_to_quantity", "quantity", "(string) -> Quantity", quantity),
    declared("is_quantity_string", "isQuantity", "(string) -> bool", is_quantity),
    declared("quantity_sign", "sign", "(Quantity) -> int", sign),
    declared("quantity_is_greater_than", "isGreaterThan", "Quantity.(Quantity) -> bool", is_greater_than),
    declared("quantity_is_less_than", "isLessThan", "Quantity.(Quantity) -> bool", is_less_than),
    declared("quantity_compare_to", "compareTo", "Quantity.(Quantity) -> int", compare_to),
    declared("quantity_get_float", "asApproximateFloat", "Quantity.() -> double", as_approximate_float),
    declared("quantity_get_int", "asInteger", "Quantity.() -> int", as_integer),
    declared("quantity_is_integer", "isInteger", "Quantity.() -> bool", is_integer),
    declared("quantity_add", "add", "Quantity.(Quantity) -> Quantity", add),
    declared("quantity_add_int", "add", "Quantity.(int) -> Quantity", add),
    declared("quantity_sub", "sub", "Quantity.(Quantity) -> Quantity", sub),
    declared("quantity_sub_int", "sub", "Quantity.(int) -> Quantity", sub),
];

fn quantity<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::library(Opaque::Quantity(QuantityValue::read(text.as_str())?))),
        _ => Err(Error::NoSuchOverload),
    }
}

fn is_quantity<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Bool(text.as_str().parse::<Quantity>().is_ok())),
        _ => Err(Error::NoSuchOverload),
    }
}

fn one<'v>(args: &'v [Value<'_>]) -> Result<&'v QuantityValue, Error> {
    match args {
        [Value::Library(opaque), ..] => match &**opaque {
            Opaque::Quantity(quantity) => Ok(quantity),
            _ => Err(Error::NoSuchOverload),
        },
        _ => Err(Error::NoSuchOverload),
    }
}

fn order(args: &[Value<'_>]) -> Result<Ordering, Error> {
    Ok(one(args)?.value.cmp(&one(args.get(1..).unwrap_or_default())?.value))
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

fn sign<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let value = one(args)?.value;
    Ok(Value::Int(i64::from(!value.is_zero()) * if value.is_negative() { -1 } else { 1 }))
}

fn as_approximate_float<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let quantity = one(args)?;
    Ok(Value::Double(match quantity.amount {
        Some(Amount { digits, exponent: 0 }) => digits as f64,
        Some(Amount { digits, exponent }) => digits as f64 * power_of_ten(exponent),
        None => quantity.value.as_f64(),
    }))
}

/// The nearest number to a power of ten, which multiplication would miss.
fn power_of_ten(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(f64::INFINITY)
}

fn as_integer<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let integer = one(args)?.amount.and_then(Amount::as_integer);
    integer.map(Value::Int).ok_or_else(|| Error::Argument("cannot convert value to integer".to_owned()))
}

fn is_integer<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(one(args)?.amount.and_then(Amount::as_integer).is_some()))
}

fn operand(args: &[Value<'_>]) -> Result<QuantityValue, Error> {
    match args {
        [_, Value::Int(int)] => Ok(QuantityValue::from_int(*int)),
        [_, other @ ..] => one(other).cloned(),
        [] => Err(Error::NoSuchOverload),
    }
}

fn add<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::library(Opaque::Quantity(one(args)?.plus(&operand(args)?))))
}

fn sub<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::library(Opaque::Quantity(one(args)?.plus(&operand(args)?.negated()))))
}
