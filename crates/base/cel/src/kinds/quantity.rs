//! Quantities, as upstream's library keeps them.

use windlass_api::Quantity;
use windlass_api::quantity::Format;

use crate::error::Error;

/// A quantity as upstream keeps it, for what it says of integers depends on how they were written.
#[derive(Clone, Debug)]
pub struct QuantityValue {
    pub(crate) value: Quantity,
    /// The value as digits times a power of ten, unless it was written with too many digits.
    pub(crate) amount: Option<Amount>,
    /// Whether this is a sum, as opposed to what was written.
    pub(crate) computed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Amount {
    pub(crate) digits: i64,
    pub(crate) exponent: i32,
}

impl Amount {
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self { digits: 0, exponent: 0 });
        }
        let negative = text.starts_with('-');
        let unsigned = text.trim_start_matches(['+', '-']);
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // Upstream leaves out leading zeros, but one that stands alone.
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let (multiplier, exponent) = match suffix {
            "n" => (1, -9),
            "u" => (1, -6),
            "m" => (1, -3),
            "" => (1, 0),
            "k" => (1, 3),
            "M" => (1, 6),
            "G" => (1, 9),
            "T" => (1, 12),
            "P" => (1, 15),
            "E" => (1, 18),
            _ if suffix.ends_with('i') => return Self::binary(whole, fraction, suffix, negative),
            _ => (1, suffix.get(1..)?.parse::<i32>().ok()?),
        };
        let exponent = exponent.checked_sub(fraction.len() as i32)?;
        if whole.len() + fraction.len() > 18 || exponent < -9 {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse::<i64>().ok()?.checked_mul(multiplier)?;
        Some(Self { digits: if negative { -digits } else { digits }, exponent })
    }

    pub(crate) fn binary(whole: &str, fraction: &str, suffix: &str, negative: bool) -> Option<Self> {
        let power = 10 * (1 + "KMGTPE".find(&suffix[..1])?) as u32;
        let room = 15 - whole.len() as i64 - i64::from(power) * 3 / 10 - 1;
        if !fraction.is_empty() || room < 0 {
            return None;
        }
        let digits = whole.parse::<i64>().ok()?.checked_mul(1 << power)?;
        Some(Self { digits: if negative { -digits } else { digits }, exponent: 0 })
    }

    pub(crate) fn scaled(self, exponent: i32) -> Option<i64> {
        let power = u32::try_from(self.exponent - exponent).ok()?;
        self.digits.checked_mul(10_i64.checked_pow(power)?)
    }

    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        if other.digits == 0 {
            return Some(self);
        }
        if self.digits == 0 {
            return Some(other);
        }
        let exponent = self.exponent.min(other.exponent);
        let digits = self.scaled(exponent)?.checked_add(other.scaled(exponent)?)?;
        Some(Self { digits, exponent })
    }

    pub(crate) fn as_integer(self) -> Option<i64> {
        if self.exponent < 0 { None } else { self.scaled(0) }
    }
}

impl QuantityValue {
    pub(crate) fn read(text: &str) -> Result<Self, Error> {
        let value =
            text.parse().map_err(|error: windlass_api::quantity::ParseError| Error::Argument(error.to_string()))?;
        Ok(Self { value, amount: Amount::read(text), computed: false })
    }

    pub(crate) fn from_int(int: i64) -> Self {
        let value = format!("{int}e0").parse().unwrap_or(Quantity::from_units(int));
        debug_assert!(matches!(value, Quantity { .. } if value.format() == Format::DecimalExponent));
        Self { value, amount: Some(Amount { digits: int, exponent: 0 }), computed: false }
    }

    pub(crate) fn negated(&self) -> Self {
        let amount = self.amount.and_then(|a| Some(Amount { digits: a.digits.checked_neg()?, ..a }));
        Self { value: -self.value, amount, computed: self.computed }
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let amount = self.amount.zip(other.amount).and_then(|(a, b)| a.plus(b));
        Self { value: self.value + other.value, amount, computed: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_what_is_written_as_such() {
        let cases = [
            ("50k", Some(50_000)),
            ("1Ki", Some(1024)),
            ("1.5Ki", None),
            ("1000m", None),
            ("1.0", None),
            ("-5", Some(-5)),
            ("1e3", Some(1000)),
            ("9999999999999999999999", None),
            ("0", Some(0)),
            ("1.5", None),
        ];
        for (text, expected) in cases {
            let quantity = QuantityValue::read(text).unwrap();
            assert_eq!(quantity.amount.and_then(Amount::as_integer), expected, "{text}");
        }
    }
}
