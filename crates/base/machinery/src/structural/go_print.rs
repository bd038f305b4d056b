//! Values as Go prints them in errors, which is not always as serde_json does: `1e+06`, `"\x01"`, `\u003c`.
//!
//! Source: apimachinery `util/validation/field/errors.go` (`ErrorBody`), Go `fmt`, `strconv`, `encoding/json`.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Number, Serializer, Value};
use windlass_api::text::quoted;

/// A number as upstream holds it: what is no `int64` is a `float64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Num {
    Int(i64),
    Float(f64),
}

impl Num {
    pub(super) fn of(number: &Number) -> Self {
        match number.as_i64() {
            Some(int) => Self::Int(int),
            None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
        }
    }

    pub(super) fn as_f64(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }

    /// As `%v` prints it.
    pub(super) fn print(self) -> String {
        match self {
            Self::Int(int) => int.to_string(),
            Self::Float(float) => print_float(float),
        }
    }
}

/// A float as `%v` prints it.
pub(super) fn print_float(float: f64) -> String {
    float_text(float, |exponent| !(-4..6).contains(&exponent))
}

/// A float as JSON.
fn json_float(float: f64) -> String {
    let text = float_text(float, |exponent| !(-6..21).contains(&exponent));
    // Of small exponents the zero is left out, of large ones there is none.
    text.replace("e-0", "e-")
}

fn float_text(float: f64, is_long: impl Fn(i32) -> bool) -> String {
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float != 0.0 && is_long(exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{float}")
}

/// The bad value of an error, as the error shows it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => Num::of(number).print(),
        Value::String(text) => quoted(text),
        _ => json(value),
    }
}

/// A value as `encoding/json` writes it. Equal values have equal texts, and the text of `1.0` is that of `1`.
pub(super) fn json(value: &Value) -> String {
    let mut text = Vec::new();
    // Writing to memory does not fail, and all keys are texts.
    let _ = value.serialize(&mut Serializer::with_formatter(&mut text, GoJson));
    String::from_utf8(text).unwrap_or_default()
}

struct GoJson;

impl Formatter for GoJson {
    fn write_f64<W: io::Write + ?Sized>(&mut self, writer: &mut W, float: f64) -> io::Result<()> {
        writer.write_all(json_float(float).as_bytes())
    }

    fn write_u64<W: io::Write + ?Sized>(&mut self, writer: &mut W, int: u64) -> io::Result<()> {
        match i64::try_from(int) {
            Ok(int) => self.write_i64(writer, int),
            Err(_) => self.write_f64(writer, int as f64),
        }
    }

    /// What would mean something in HTML is escaped.
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(place) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(place);
            let mut chars = special.chars();
            let code = chars.next().map_or(0, u32::from);
            write!(writer, "{plain}\\u{code:04x}")?;
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn floats() {
        for (float, printed, written) in [
            (0.0, "0", "0"),
            (1.0, "1", "1"),
            (1.5, "1.5", "1.5"),
            (1e6, "1e+06", "1000000"),
            (123_456_789.0, "1.23456789e+08", "123456789"),
            (1e20, "1e+20", "100000000000000000000"),
            (1e21, "1e+21", "1e+21"),
            (1e-4, "0.0001", "0.0001"),
            (1e-5, "1e-05", "0.00001"),
            (1e-7, "1e-07", "1e-7"),
            (-2.5e-10, "-2.5e-10", "-2.5e-10"),
        ] {
            assert_eq!((print_float(float).as_str(), json_float(float).as_str()), (printed, written));
        }
    }

    #[test]
    fn texts() {
        assert_eq!(shown(&json!("a\u{1}<\u{2028}é\"")), r#""a\x01<\u2028é\"""#);
        assert_eq!(shown(&json!(["a\u{1}<\u{7f}"])), "[\"a\\u0001\\u003c\u{7f}\"]");
        assert_eq!(shown(&json!({"b": 1.0, "a": [null, true, 1e21]})), r#"{"a":[null,true,1e+21],"b":1}"#);
        assert_eq!((shown(&json!(null)), shown(&json!(2.0))), ("null".to_owned(), "2".to_owned()));
    }
}
