//! `format`: clauses like `%s` and `%.2f`, in strings with values and, before that, with types.

use windlass_api::text::quoted;

use crate::error::Error;
use crate::value::{List, Map, Value, double_shortest};
use crate::work;

/// What a clause asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clause {
    String,
    Decimal,
    Fixed(usize),
    Scientific(usize),
    Binary,
    Hex { upper: bool },
    Octal,
}

const PRECISION: usize = 6;
/// More digits than any double has, and few enough to be written.
const PRECISION_WRITTEN_MAX: usize = 1_100;

impl Clause {
    /// What is said of a type that the clause does not take.
    pub(crate) fn refusal(self, type_name: &str) -> String {
        let what = match self {
            Self::Binary => "only integers and bools can be formatted as binary",
            Self::Decimal => "decimal clause can only be used on integers",
            Self::Fixed(_) => "fixed-point clause can only be used on doubles",
            Self::Hex { .. } => "only integers, byte buffers, and strings can be formatted as hex",
            Self::Octal => "octal clause can only be used on integers",
            Self::Scientific(_) => "scientific clause can only be used on doubles",
            Self::String => {
                "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
            }
        };
        format!("{what}, was given {type_name}")
    }
}

/// Writes `text` with its clauses replaced by what `write` makes of them, given which argument each takes. `is_known` says whether
/// arguments are looked up before the clause is read, as they are when there are values.
pub(crate) fn interpolate<E: From<String>>(
    text: &str,
    count: usize,
    has_values: bool,
    mut write: impl FnMut(usize, Clause) -> Result<String, E>,
) -> Result<String, E> {
    let mut out = String::new();
    let mut rest = text;
    let mut index = 0;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let missing = || E::from(format!("index {index} out of range"));
        if has_values && index >= count {
            return Err(missing());
        }
        if rest.is_empty() {
            return Err(E::from("unexpected end of string".to_owned()));
        }
        if index >= count {
            return Err(missing());
        }
        let (clause, after) =
            clause(rest).map_err(|why| E::from(format!("could not parse formatting clause: {why}")))?;
        let written = write(index, clause)?;
        work::spend(written.len()).map_err(|_| E::from("the text is too long".to_owned()))?;
        out.push_str(&written);
        rest = after;
        index += 1;
    }
    out.push_str(rest);
    Ok(out)
}

fn clause(text: &str) -> Result<(Clause, &str), String> {
    let (precision, rest) = match text.strip_prefix('.') {
        None => (PRECISION, text),
        Some(rest) => {
            let during = |why: String| format!("error while parsing precision: {why}");
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if digits == rest.len() {
                return Err(during("could not find end of precision specifier".to_owned()));
            }
            let precision = rest[..digits].parse::<usize>().map_err(|_| {
                let what = if digits == 0 { "invalid syntax" } else { "value out of range" };
                let digits = &rest[..digits];
                during(format!("error while converting precision to integer: strconv.Atoi: parsing {digits:?}: {what}"))
            })?;
            (precision, &rest[digits..])
        }
    };
    let kind = rest.bytes().next().unwrap_or(b' ');
    let clause = match kind {
        b's' => Clause::String,
        b'd' => Clause::Decimal,
        b'f' => Clause::Fixed(precision),
        b'e' => Clause::Scientific(precision),
        b'b' => Clause::Binary,
        b'x' => Clause::Hex { upper: false },
        b'X' => Clause::Hex { upper: true },
        b'o' => Clause::Octal,
        // One byte is taken for one character.
        other => return Err(format!("unrecognized formatting clause \"{}\"", char::from(other))),
    };
    Ok((clause, &rest[1..]))
}

/// Formats values.
pub(super) fn format(text: &str, args: &List<'_>) -> Result<String, Error> {
    interpolate(text, args.len(), true, |index, clause| {
        let value = args.get(index).unwrap_or(Err(Error::NoSuchOverload))?;
        written(&value, clause).map_err(|why| Error::Argument(format!("error during formatting: {why}")))
    })
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::Argument(message)
    }
}

fn written(value: &Value<'_>, clause: Clause) -> Result<String, String> {
    let refused = || Err(clause.refusal(value.type_name()));
    match (clause, value) {
        (Clause::String, value) => string(value),
        (Clause::Decimal, value) => decimal(value),
        (Clause::Fixed(precision), value) => number(value).map_or_else(refused, |number| Ok(fixed(number, precision))),
        (Clause::Scientific(width), value) => {
            number(value).map_or_else(refused, |number| Ok(scientific(number, width)))
        }
        (Clause::Binary, Value::Int(value)) => Ok(signed(*value, |magnitude| format!("{magnitude:b}"))),
        (Clause::Binary, Value::Uint(value)) => Ok(format!("{value:b}")),
        (Clause::Binary, Value::Bool(value)) => Ok(u8::from(*value).to_string()),
        (Clause::Hex { upper }, Value::Int(value)) => Ok(signed(*value, |magnitude| hex_number(magnitude, upper))),
        (Clause::Hex { upper }, Value::Uint(value)) => Ok(hex_number(*value, upper)),
        (Clause::Hex { upper }, Value::String(text)) => Ok(hex(text.as_str().as_bytes(), upper)),
        (Clause::Hex { upper }, Value::Bytes(bytes)) => Ok(hex(bytes.as_bytes(), upper)),
        (Clause::Octal, Value::Int(value)) => Ok(signed(*value, |magnitude| format!("{magnitude:o}"))),
        (Clause::Octal, Value::Uint(value)) => Ok(format!("{value:o}")),
        _ => refused(),
    }
}

fn signed(value: i64, write: impl Fn(u64) -> String) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", write(value.unsigned_abs()))
}

fn hex_number(value: u64, upper: bool) -> String {
    if upper { format!("{value:X}") } else { format!("{value:x}") }
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
}

/// What clauses for doubles take: doubles, and texts that stand for some.
fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn not_finite(number: f64) -> Option<&'static str> {
    match number {
        n if n.is_nan() => Some("NaN"),
        f64::INFINITY => Some("∞"),
        f64::NEG_INFINITY => Some("-∞"),
        _ => None,
    }
}

/// `1,234.50`
fn fixed(number: f64, precision: usize) -> String {
    if let Some(word) = not_finite(number) {
        return word.to_owned();
    }
    let digits = format!("{:.*}", precision.min(PRECISION_WRITTEN_MAX), number.abs());
    let (whole, fraction) = digits.split_once('.').map_or((digits.as_str(), None), |(w, f)| (w, Some(f)));
    let mut text = String::with_capacity(digits.len() + whole.len() / 3 + 1);
    if number < 0.0 {
        text.push('-');
    }
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if let Some(fraction) = fraction {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// `1.234500×10⁰³`, with six digits; what is written as the precision is taken for a width upstream.
fn scientific(number: f64, width: usize) -> String {
    let text = match not_finite(number) {
        Some(word) => word.to_owned(),
        None => scientific_digits(number),
    };
    let missing = width.min(PRECISION_WRITTEN_MAX).saturating_sub(text.chars().count());
    " ".repeat(missing) + &text
}

fn scientific_digits(number: f64) -> String {
    const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let written = format!("{:.6e}", number.abs());
    let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(("", exponent), |exponent| ("⁻", exponent));
    let mut text = String::from(if number < 0.0 { "-" } else { "" });
    text.push_str(digits);
    text.push_str("×10");
    text.push_str(sign);
    let exponent = format!("{exponent:0>2}");
    text.extend(exponent.bytes().map(|digit| SUPERSCRIPTS[usize::from(digit - b'0')]));
    text
}

fn decimal(value: &Value<'_>) -> Result<String, String> {
    match value {
        Value::Int(value) => Ok(value.to_string()),
        Value::Uint(value) => Ok(value.to_string()),
        other => Err(Clause::Decimal.refusal(other.type_name())),
    }
}

fn string(value: &Value<'_>) -> Result<String, String> {
    match value {
        Value::List(list) => list_text(list),
        Value::Map(map) => map_text(map),
        Value::Null => Ok("null".to_owned()),
        Value::Int(_)
        | Value::Uint(_)
        | Value::Double(_)
        | Value::Bool(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::Bytes(_)
        | Value::Duration(_)
        | Value::Type(_) => match value.to_text() {
            Ok(text) => Ok(text.as_str().unwrap_or_default().to_owned()),
            Err(error) => Err(format!("could not convert argument {:?} to string", error.to_string())),
        },
        other => Err(Clause::String.refusal(other.type_name())),
    }
}

/// A value within a list or map, where strings are quoted.
fn nested(value: &Value<'_>) -> Result<String, String> {
    let text = match value {
        Value::Double(number) if number.is_finite() => format!("{number:.6}"),
        Value::Double(number) => format!("{:?}", double_shortest(*number, 6)),
        Value::String(_) => quoted(&string(value)?),
        Value::Bytes(_) => format!("b{}", quoted(&string(value)?)),
        Value::Timestamp(_) => format!("timestamp({})", quoted(&string(value)?)),
        Value::Duration(_) => format!("duration({})", quoted(&string(value)?)),
        Value::List(_)
        | Value::Map(_)
        | Value::Null
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Bool(_)
        | Value::Type(_) => string(value)?,
        other => return Err(format!("no formatting function for {}", other.type_name())),
    };
    // Texts of nested values are copied into those around them.
    work::spend(text.len()).map_err(|error| error.to_string())?;
    Ok(text)
}

fn list_text(list: &List<'_>) -> Result<String, String> {
    let mut parts = Vec::with_capacity(list.len());
    for value in list.iter() {
        parts.push(nested(&value.map_err(|error| error.to_string())?)?);
    }
    Ok(format!("[{}]", parts.join(", ")))
}

fn map_text(map: &Map<'_>) -> Result<String, String> {
    let mut parts = Vec::with_capacity(map.len());
    for key in map.keys() {
        let shown = match &key {
            Value::String(_) => quoted(&string(&key)?),
            Value::Bool(_) => string(&key)?,
            Value::Int(_) | Value::Uint(_) => decimal(&key)?,
            other => return Err(format!("no formatting function for map key of type {}", other.type_name())),
        };
        let value = map.find(&key).unwrap_or(Err(Error::NoSuchOverload)).map_err(|error| error.to_string())?;
        parts.push((shown, nested(&value)?));
    }
    parts.sort();
    let parts: Vec<String> = parts.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
    Ok(format!("{{{}}}", parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_grouped() {
        let cases = [
            (1234.5, 2, "1,234.50"),
            (0.125, 2, "0.12"),
            (2.675, 2, "2.67"),
            (-0.001, 2, "-0.00"),
            (-0.0, 2, "0.00"),
            (999.999, 2, "1,000.00"),
            (1e6, 0, "1,000,000"),
            (0.5, 0, "0"),
            (1.5, 0, "2"),
            (f64::INFINITY, 2, "∞"),
        ];
        for (number, precision, expected) in cases {
            assert_eq!(fixed(number, precision), expected);
        }
        assert_eq!(scientific(1234.5, 6), "1.234500×10⁰³");
        assert_eq!(scientific(-0.00123, 17), "  -1.230000×10⁻⁰³");
        assert_eq!(scientific(f64::INFINITY, 6), "     ∞");
    }
}
