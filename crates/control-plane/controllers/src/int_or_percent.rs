//! Fields that are a number or a percentage: `maxSurge`, `maxUnavailable`, `minAvailable`.

use serde_json::Value;

/// The number, of 32 bits as upstream's is, or that share of `total`.
pub(crate) fn int_or_percent(value: &Value, total: i64, round_up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0).clamp(i32::MIN.into(), i32::MAX.into()),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let share = percent.saturating_mul(total);
            if round_up { share.saturating_add(99).div_euclid(100) } else { share.div_euclid(100) }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_shares() {
        assert_eq!(int_or_percent(&json!(3), 10, true), 3);
        assert_eq!((int_or_percent(&json!("25%"), 10, true), int_or_percent(&json!("25%"), 10, false)), (3, 2));
        assert_eq!((int_or_percent(&json!("0%"), 10, true), int_or_percent(&Value::Null, 10, true)), (0, 0));
        assert_eq!(int_or_percent(&json!("9223372036854775807%"), 10, true), i64::MAX / 100);
        assert_eq!(int_or_percent(&json!(i64::MAX), 10, true), i64::from(i32::MAX));
    }
}
