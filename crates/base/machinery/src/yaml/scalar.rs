//! What a plain scalar means, by YAML 1.1 as upstream's reader understands it: `0400` and `0o400` are octal, `yes` and `on` are true,
//! `1_000` is a number, a date is text.
//!
//! Source: go.yaml.in/yaml/v2 `resolve.go`.

use serde_json::{Number, Value};

/// The value of a scalar that is neither quoted nor tagged.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let begins_a_number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    let number = if begins_a_number { integer(text).or_else(|| float(text)) } else { None };
    number.unwrap_or_else(|| Value::from(text))
}

/// An integer as Go reads it with base 0: `0x`, `0o`, `0b` and a leading zero say the base, and underscores may stand between digits.
fn integer(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // `from_str_radix` would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    if negative {
        return i64::from_str_radix(&format!("-{digits}"), radix).ok().map(Value::from);
    }
    u64::from_str_radix(digits, radix).ok().map(Value::from)
}

fn float(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    let number = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let has_digits = number.contains(|c: char| c.is_ascii_digit());
    let is_float =
        has_digits && number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let value = plain.parse::<f64>().ok().filter(|value| is_float && value.is_finite())?;
    // As Go writes numbers: one without a fraction is an integer to whoever reads the JSON.
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_1_1() {
        for (text, value) in [
            ("0400", json!(256)),
            ("0o644", json!(420)),
            ("0x1E", json!(30)),
            ("0b11", json!(3)),
            ("1_000", json!(1000)),
            ("-012", json!(-10)),
            ("+7", json!(7)),
            ("08", json!(8)),
            ("1.50", json!(1.5)),
            ("1e3", json!(1000)),
            (".5", json!(0.5)),
            ("18446744073709551615", json!(u64::MAX)),
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!(true)),
            ("~", json!(null)),
            ("2026-11-28", json!("2026-11-28")),
            ("1.2.3", json!("1.2.3")),
            ("10:20", json!("10:20")),
            ("1Gi", json!("1Gi")),
            ("-", json!("-")),
            ("--1", json!("--1")),
            ("0x", json!("0x")),
            ("e3", json!("e3")),
            ("nil", json!("nil")),
            ("YeS", json!("YeS")),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }
}
