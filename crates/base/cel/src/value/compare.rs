//! Order: numbers across their types, and what else is ordered.

use std::cmp::Ordering;

use super::Value;
use crate::error::Error;

impl Value<'_> {
    /// Compares with another value, as `<` and its like do.
    pub(crate) fn compare(&self, other: &Value<'_>) -> Result<Ordering, Error> {
        if let Some(ordering) = numbers(self, other) {
            return ordering.ok_or(Error::NotANumber);
        }
        match (self, other) {
            (Self::Double(number), _) if number.is_nan() => Err(Error::NotANumber),
            (Self::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
            (Self::String(a), Value::String(b)) => Ok(a.as_str().cmp(b.as_str())),
            (Self::Bytes(a), Value::Bytes(b)) => Ok(a.as_bytes().cmp(b.as_bytes())),
            (Self::Timestamp(a), Value::Timestamp(b)) => Ok(a.instant().cmp(&b.instant())),
            (Self::Duration(a), Value::Duration(b)) => Ok(a.cmp(b)),
            _ => Err(Error::NoSuchOverload),
        }
    }

    /// Whether values of this type have an order at all.
    pub(crate) fn is_comparable(&self) -> bool {
        matches!(
            self,
            Self::Bool(_)
                | Self::Int(_)
                | Self::Uint(_)
                | Self::Double(_)
                | Self::String(_)
                | Self::Bytes(_)
                | Self::Timestamp(_)
                | Self::Duration(_)
        )
    }
}

/// Compares two numbers; `Some(None)` if one of them is not a number.
pub(super) fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Uint(a), Value::Uint(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Uint(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Value::Double(a), Value::Int(b)) => double_int(*a, *b),
        (Value::Int(a), Value::Double(b)) => double_int(*b, *a).map(Ordering::reverse),
        (Value::Double(a), Value::Uint(b)) => double_uint(*a, *b),
        (Value::Uint(a), Value::Double(b)) => double_uint(*b, *a).map(Ordering::reverse),
        _ => return None,
    })
}

// Upstream compares as doubles what lies within the range of integers.

fn double_int(a: f64, b: i64) -> Option<Ordering> {
    if a < i64::MIN as f64 {
        return Some(Ordering::Less);
    }
    if a > i64::MAX as f64 {
        return Some(Ordering::Greater);
    }
    a.partial_cmp(&(b as f64))
}

fn double_uint(a: f64, b: u64) -> Option<Ordering> {
    if a < 0.0 {
        return Some(Ordering::Less);
    }
    if a > u64::MAX as f64 {
        return Some(Ordering::Greater);
    }
    a.partial_cmp(&(b as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_across_their_types() {
        let cases = [
            (Value::Int(1), Value::Uint(2), Ok(Ordering::Less)),
            (Value::Int(-1), Value::Uint(u64::MAX), Ok(Ordering::Less)),
            (Value::Double(1.5), Value::Int(1), Ok(Ordering::Greater)),
            (Value::Uint(3), Value::Double(3.0), Ok(Ordering::Equal)),
            (Value::Double(1e300), Value::Int(i64::MAX), Ok(Ordering::Greater)),
            (Value::Double(f64::NAN), Value::Int(1), Err(Error::NotANumber)),
            (Value::Int(1), Value::borrowed("1"), Err(Error::NoSuchOverload)),
            (Value::Bool(false), Value::Bool(true), Ok(Ordering::Less)),
        ];
        for (a, b, expected) in cases {
            assert_eq!(a.compare(&b), expected, "{a:?} {b:?}");
        }
    }
}
