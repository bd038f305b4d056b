//! Exact quantities: `500m`, `1.5Gi`, `1e3`.
//!
//! A quantity is an integer number of nano-units, so no arithmetic rounds; what is finer than a nano-unit is rounded away
//! from zero when it is read, as upstream does. The canonical spelling keeps the family of suffixes that was read.
//! Source: apimachinery `api/resource/quantity.go` and the API reference of Quantity.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// Upstream caps what does not fit: 2^63-1 units.
const MAX_UNITS: i128 = i64::MAX as i128;

/// Which family of suffixes a quantity is written with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `Ki`, `Mi`, …
    BinarySi,
    /// `m`, ``, `k`, `M`, …
    #[default]
    DecimalSi,
    /// `e3`
    DecimalExponent,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is no quantity, in upstream's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    #[error("unable to parse quantity's suffix")]
    Suffix,
    #[error("unable to parse numeric part of quantity")]
    Number,
}

impl Quantity {
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// Whole units, written in decimal.
    pub const fn from_units(units: i64) -> Self {
        Self { nanos: units as i128 * NANO, format: Format::DecimalSi }
    }

    /// Thousandths, as CPU is counted.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * (NANO / 1000), format: Format::DecimalSi }
    }

    /// Bytes, written with binary suffixes.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self { nanos: bytes as i128 * NANO, format: Format::BinarySi }
    }

    /// Whole units, rounded up (away from zero), as upstream's `Value()`.
    pub fn units(&self) -> i64 {
        saturate(div_away(self.nanos, NANO))
    }

    /// Thousandths, rounded up (away from zero), as upstream's `MilliValue()`.
    pub fn milli(&self) -> i64 {
        saturate(div_away(self.nanos, NANO / 1000))
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether there is no fraction of a unit.
    pub fn is_integer(&self) -> bool {
        self.nanos % NANO == 0
    }

    /// The quantity as a number, for metrics and comparisons that need no exactness.
    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// Multiplies by an integer, capped like everything else.
    pub fn times(&self, factor: i64) -> Self {
        self.with_nanos(self.nanos.saturating_mul(i128::from(factor)))
    }

    fn with_nanos(&self, nanos: i128) -> Self {
        Self { nanos: nanos.clamp(-MAX_UNITS * NANO, MAX_UNITS * NANO), format: self.format }
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn div_away(value: i128, by: i128) -> i128 {
    let whole = value / by;
    if value % by == 0 { whole } else { whole + value.signum() }
}

impl FromStr for Quantity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
            None => return Err(ParseError::Format),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        if number.is_empty() || number.bytes().filter(|b| *b == b'.').count() > 1 || number == "." {
            return Err(ParseError::Format);
        }
        if !is_suffix_well_formed(suffix) {
            return Err(ParseError::Format);
        }
        let (scale, format) = parse_suffix(suffix)?;
        let nanos = scaled(number, scale)?;
        let quantity = Self { nanos: 0, format };
        Ok(quantity.with_nanos(if negative { -nanos } else { nanos }))
    }
}

/// What one unit of a suffix is worth.
#[derive(Clone, Copy)]
enum Scale {
    /// 10^n
    Ten(i32),
    /// 2^n
    Two(u32),
}

/// Whether a suffix has the form of one (letters that occur in suffixes, then an exponent), be there such a suffix or not.
fn is_suffix_well_formed(suffix: &str) -> bool {
    let exponent = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    exponent.strip_prefix(['-', '+']).unwrap_or(exponent).bytes().all(|b| b.is_ascii_digit())
}

fn parse_suffix(suffix: &str) -> Result<(Scale, Format), ParseError> {
    let decimal = |exponent| Ok((Scale::Ten(exponent), Format::DecimalSi));
    let binary = |exponent| Ok((Scale::Two(exponent), Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or(ParseError::Suffix)?;
            let exponent: i32 = exponent.parse().map_err(|_| ParseError::Suffix)?;
            Ok((Scale::Ten(exponent.clamp(-1000, 1000)), Format::DecimalExponent))
        }
    }
}

/// `number` (digits with at most one point) times `scale`, in nano-units, rounded up.
fn scaled(number: &str, scale: Scale) -> Result<i128, ParseError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
    // The value is `digits` * 10^exponent * 2^shift; from here on only integers.
    let mut exponent = -i32::try_from(fraction.len()).map_err(|_| ParseError::Number)? + 9;
    let shift = match scale {
        Scale::Ten(n) => {
            exponent += n;
            0
        }
        Scale::Two(n) => n,
    };
    let leading = digits.iter().take_while(|d| **d == 0).count();
    digits.drain(..leading);
    if digits.is_empty() {
        return Ok(0);
    }
    // Anything beyond 2^63 units is capped, so 40 digits before the point of nano-units are more than enough to know it.
    if digits.len() as i64 + i64::from(exponent) > 40 {
        return Ok(MAX_UNITS * NANO);
    }
    let mut value: i128 = 0;
    let mut rest = false;
    let keep = digits.len().min(30);
    for digit in &digits[..keep] {
        value = value * 10 + i128::from(*digit);
    }
    for digit in &digits[keep..] {
        rest |= *digit != 0;
    }
    exponent += i32::try_from(digits.len() - keep).map_err(|_| ParseError::Number)?;
    // The binary shift comes before a division by ten, so that 1.1Ki loses nothing.
    value = value.checked_mul(1_i128 << shift.min(20)).unwrap_or(i128::MAX / 4);
    value = value.checked_mul(1_i128 << (shift - shift.min(20))).unwrap_or(i128::MAX / 4);
    while exponent > 0 {
        value = value.saturating_mul(10);
        exponent -= 1;
    }
    while exponent < 0 && value > 0 {
        rest |= value % 10 != 0;
        value /= 10;
        exponent += 1;
    }
    Ok((value.saturating_add(i128::from(rest))).min(MAX_UNITS * NANO))
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        // Upstream writes small binary quantities, and those with a fraction below 1024, in decimal.
        let small = self.nanos.abs() < 1024 * NANO;
        match self.format {
            Format::BinarySi if !small => self.fmt_binary(f),
            Format::DecimalExponent => {
                let (mantissa, exponent) = self.decimal();
                if exponent == 0 { write!(f, "{mantissa}") } else { write!(f, "{mantissa}e{exponent}") }
            }
            _ => {
                let (mantissa, exponent) = self.decimal();
                let suffix = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][((exponent + 9) / 3) as usize];
                write!(f, "{mantissa}{suffix}")
            }
        }
    }
}

impl Quantity {
    fn fmt_binary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mantissa = div_away(self.nanos, NANO);
        let mut step = 0;
        while step < 6 && mantissa % 1024 == 0 {
            mantissa /= 1024;
            step += 1;
        }
        write!(f, "{mantissa}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][step])
    }

    /// A mantissa and the largest exponent, a multiple of three, that give the value exactly.
    fn decimal(&self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.nanos, -9);
        while exponent < 18 && mantissa % 1000 == 0 {
            mantissa /= 1000;
            exponent += 3;
        }
        (mantissa, exponent)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl Add for Quantity {
    type Output = Self;

    /// The sum keeps the left side's family, or the right side's when the left is zero, as upstream's `Add`.
    fn add(self, other: Self) -> Self {
        let family = if self.is_zero() { other } else { self };
        family.with_nanos(self.nanos + other.nanos)
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self { nanos: -self.nanos, ..self }
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, Add::add)
    }
}

impl serde::Serialize for Quantity {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Quantity {
    /// Takes a string or a bare number, as the API does.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_i64<E: serde::de::Error>(self, units: i64) -> Result<Quantity, E> {
                Ok(Quantity::from_units(units))
            }

            fn visit_u64<E: serde::de::Error>(self, units: u64) -> Result<Quantity, E> {
                Ok(Quantity::from_units(i64::try_from(units).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E: serde::de::Error>(self, units: f64) -> Result<Quantity, E> {
                units.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_forms() {
        let cases = [
            ("0", "0"),
            ("0Mi", "0"),
            ("1000m", "1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1.1Ki", "1127"),
            ("0.5Ki", "512"),
            ("0.1Ki", "102400m"),
            ("100Mi", "100Mi"),
            ("1000", "1k"),
            ("1001", "1001"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1.5e3", "1500"),
            ("12e-3", "12e-3"),
            ("0.0000000001", "1n"),
            ("0.1n", "1n"),
            ("-1.5", "-1500m"),
            ("+3", "3"),
            ("128974848", "128974848"),
            ("129e6", "129e6"),
            ("129M", "129M"),
            ("9223372036854775807", "9223372036854775807"),
            ("99999999999999999999", "9223372036854775807"),
            ("1Ei", "1Ei"),
            ("7Ei", "7Ei"),
            ("1e500", "9223372036854775807"),
            ("1e-500", "1e-9"),
        ];
        for (text, canonical) in cases {
            let quantity: Quantity = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(quantity.to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in ["", "-", "abc", "1.2.3", ".", "1 Gi", " 1", "1KI", "1ki", "1e", "1ee3", "0x10", "1Gib", "١"] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn rounding_and_arithmetic() {
        let q = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!(q("1500m").units(), 2);
        assert_eq!(q("-1500m").units(), -2);
        assert_eq!(q("1.5").milli(), 1500);
        assert_eq!(q("100u").milli(), 1);
        assert_eq!((q("1Gi") + q("1")).to_string(), "1073741825");
        assert_eq!((Quantity::ZERO + q("1Gi")).to_string(), "1Gi");
        assert_eq!((q("1") - q("250m")).to_string(), "750m");
        assert_eq!([q("100m"), q("200m")].into_iter().sum::<Quantity>(), q("0.3"));
        assert_eq!(q("1k"), q("1000"));
        assert!(q("1Ki") > q("1k"));
    }

    #[test]
    fn json_forms() {
        assert_eq!(serde_json::from_str::<Quantity>("2").unwrap(), Quantity::from_units(2));
        assert_eq!(serde_json::from_str::<Quantity>("0.5").unwrap(), Quantity::from_milli(500));
        assert_eq!(serde_json::to_string(&Quantity::from_bytes(1 << 30)).unwrap(), r#""1Gi""#);
        assert!(serde_json::from_str::<Quantity>("true").is_err());
    }

    proptest! {
        #[test]
        fn canonical_is_stable(nanos in -i64::MAX..i64::MAX, which in 0..3) {
            let format = [Format::BinarySi, Format::DecimalSi, Format::DecimalExponent][which as usize];
            let quantity = Quantity { nanos: i128::from(nanos), format };
            let again: Quantity = quantity.to_string().parse().unwrap();
            if format != Format::BinarySi {
                prop_assert_eq!(again.to_string(), quantity.to_string());
            }
            // A binary quantity is written in whole units. One that is no multiple of 1024 has no suffix to be known by, so it is
            // read as a decimal one, and 2000 comes back as 2k.
            let is_whole = format == Format::BinarySi && quantity.nanos.abs() >= 1024 * NANO;
            let written = if is_whole { div_away(quantity.nanos, NANO) * NANO } else { quantity.nanos };
            prop_assert_eq!(again.nanos, written);
        }

        #[test]
        fn nothing_panics(text in "[-+]?[0-9.]{0,45}[a-zA-Z]{0,3}[-+]?[0-9]{0,12}|\\PC{0,12}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
