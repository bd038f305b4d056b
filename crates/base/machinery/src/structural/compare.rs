//! Comparing values as Go does.

use serde_json::Value;

use super::go_print::{Num, json};

/// Whether a value is one that an `enum` lists. Go converts the value to the listed one's type before it compares: a float loses
/// its fraction to an integer, and an integer becomes the character with that number.
pub(super) fn is_listed(value: &Value, allowed: &[Value]) -> bool {
    allowed.iter().any(|listed| match (value, listed) {
        // A null is never found, not even where it is listed.
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Number(value), Value::Number(listed)) => match (Num::of(value), Num::of(listed)) {
            (Num::Int(value), Num::Int(listed)) => value == listed,
            (Num::Float(value), Num::Int(listed)) => to_int(value) == listed,
            (value, Num::Float(listed)) => value.as_f64() == listed,
        },
        (Value::Number(number), Value::String(listed)) => match Num::of(number) {
            Num::Int(int) => {
                let c = u32::try_from(int).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                let mut listed = listed.chars();
                listed.next() == Some(c) && listed.next().is_none()
            }
            Num::Float(_) => false,
        },
        _ => value == listed,
    })
}

/// A float as an integer, as amd64 converts it: what does not fit becomes the least.
pub(super) fn to_int(float: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&float) { float as i64 } else { i64::MIN }
}

/// A text that equal values have in common, and no others: scalars are equal only to their own kind (1 is not 1.0), lists and
/// objects when their JSON is the same.
pub(super) fn identity(value: &Value) -> String {
    match value {
        Value::Number(number) => match Num::of(number) {
            Num::Int(int) => format!("i{int}"),
            Num::Float(float) => format!("f{float:?}"),
        },
        Value::Array(_) | Value::Object(_) => format!("t{}", json(value)),
        _ => format!("s{value}"),
    }
}

/// A text that values have in common when they are equal throughout, 1 and 1.0 being different wherever they stand.
pub(super) fn strict_identity(value: &Value) -> String {
    value.to_string()
}
