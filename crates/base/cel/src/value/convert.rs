//! Conversions between the types of values: `int("1")`, `string(1.5)`.

use std::str::FromStr;

use super::{Octets, Opaque, Text, Value, double_shortest};
use crate::error::Error;
use crate::kinds::timestamp::Timestamp;

impl<'a> Value<'a> {
    fn refuse<T>(&self, to: &str) -> Result<T, Error> {
        Err(Error::conversion(self.type_name(), to))
    }

    pub(crate) fn to_bool(&self) -> Result<Value<'a>, Error> {
        match self {
            Self::Bool(_) => Ok(self.clone()),
            Self::String(text) => match text.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(Value::Bool(true)),
                "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(Value::Bool(false)),
                _ => self.refuse("bool"),
            },
            _ => self.refuse("bool"),
        }
    }

    pub(crate) fn to_int(&self) -> Result<Value<'a>, Error> {
        match self {
            Self::Int(_) => Ok(self.clone()),
            Self::Uint(value) => i64::try_from(*value).map(Value::Int).map_err(|_| Error::IntOverflow),
            Self::Double(value) => {
                let fits = *value > i64::MIN as f64 && *value < i64::MAX as f64;
                if fits { Ok(Value::Int(*value as i64)) } else { Err(Error::IntOverflow) }
            }
            Self::Duration(nanos) => Ok(Value::Int(*nanos)),
            Self::Timestamp(at) => Ok(Value::Int(at.seconds())),
            Self::String(text) => i64::from_str(text.as_str()).map(Value::Int).or_else(|_| self.refuse("int")),
            _ => self.refuse("int"),
        }
    }

    pub(crate) fn to_uint(&self) -> Result<Value<'a>, Error> {
        match self {
            Self::Uint(_) => Ok(self.clone()),
            Self::Int(value) => u64::try_from(*value).map(Value::Uint).map_err(|_| Error::UintOverflow),
            Self::Double(value) => {
                let fits = *value >= 0.0 && *value < 18_446_744_073_709_551_616.0;
                if fits { Ok(Value::Uint(*value as u64)) } else { Err(Error::UintOverflow) }
            }
            Self::String(text) => {
                let unsigned = Some(text.as_str()).filter(|text| !text.starts_with('+'));
                let value = unsigned.and_then(|text| text.parse().ok());
                value.map_or_else(|| self.refuse("uint"), |value| Ok(Value::Uint(value)))
            }
            _ => self.refuse("uint"),
        }
    }

    pub(crate) fn to_double(&self) -> Result<Value<'a>, Error> {
        match self {
            Self::Double(_) => Ok(self.clone()),
            Self::Int(value) => Ok(Value::Double(*value as f64)),
            Self::Uint(value) => Ok(Value::Double(*value as f64)),
            Self::String(text) => match parse_double(text.as_str()) {
                Some(value) => Ok(Value::Double(value)),
                None => self.refuse("double"),
            },
            _ => self.refuse("double"),
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Value<'a>, Error> {
        match self {
            Self::Bytes(_) => Ok(self.clone()),
            Self::String(Text::Borrowed(text)) => Ok(Value::Bytes(Octets::Borrowed(text.as_bytes()))),
            Self::String(Text::Shared(text)) => Ok(Value::bytes(text.as_bytes())),
            _ => self.refuse("bytes"),
        }
    }

    pub(crate) fn to_duration(&self) -> Result<Value<'a>, Error> {
        match self {
            Self::Duration(_) => Ok(self.clone()),
            Self::String(text) => match windlass_api::time::parse_duration(text.as_str()) {
                Some(nanos) => Ok(Value::Duration(nanos)),
                None => self.refuse("google.protobuf.Duration"),
            },
            _ => self.refuse("google.protobuf.Duration"),
        }
    }

    pub(crate) fn to_timestamp(&self) -> Result<Value<'a>, Error> {
        match self {
            Self::Timestamp(_) => Ok(self.clone()),
            Self::Int(seconds) => Timestamp::from_seconds(*seconds).map(Value::Timestamp),
            Self::String(text) => match Timestamp::parse(text.as_str()) {
                Some(at) => at.map(Value::Timestamp),
                None => self.refuse("google.protobuf.Timestamp"),
            },
            _ => self.refuse("google.protobuf.Timestamp"),
        }
    }

    /// Converts to a string, as `string()` does.
    pub(crate) fn to_text(&self) -> Result<Value<'a>, Error> {
        Ok(match self {
            Self::String(_) => self.clone(),
            Self::Null => Value::borrowed("null"),
            Self::Bool(value) => Value::borrowed(if *value { "true" } else { "false" }),
            Self::Int(value) => Value::string(value.to_string()),
            Self::Uint(value) => Value::string(value.to_string()),
            Self::Double(value) => Value::string(double_shortest(*value, 6)),
            Self::Bytes(bytes) => match std::str::from_utf8(bytes.as_bytes()) {
                Ok(text) => Value::string(text),
                Err(_) => {
                    let message = "invalid UTF-8 in bytes, cannot convert to string";
                    return Err(Error::Argument(message.to_owned()));
                }
            },
            Self::Timestamp(at) => Value::string(at.to_string()),
            Self::Duration(nanos) => Value::string(seconds(*nanos)),
            Self::Type(name) => Value::String(name.clone()),
            Self::Library(opaque) => match &**opaque {
                Opaque::Ip(ip) => Value::string(ip.to_string()),
                Opaque::Cidr(cidr) => Value::string(cidr.to_string()),
                _ => return self.refuse("string"),
            },
            _ => return self.refuse("string"),
        })
    }
}

/// Writes a duration in seconds: `1.5s`.
pub(crate) fn seconds(nanos: i64) -> String {
    let value = (nanos / 1_000_000_000) as f64 + (nanos % 1_000_000_000) as f64 / 1e9;
    format!("{value}s")
}

/// Reads a double as Go does, where hexadecimal digits and underscores are allowed with a prefix only.
fn parse_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let word = unsigned.to_ascii_lowercase();
    if matches!(word.as_str(), "inf" | "infinity") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if word == "nan" {
        return (unsigned.len() == text.len()).then_some(f64::NAN);
    }
    if let Some(digits) = word.strip_prefix("0x") {
        let value = hexadecimal(digits)?;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    let value: f64 = text.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Reads `1.8p3`: hexadecimal digits, times a power of two.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once('p')?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || whole.len() + fraction.len() > 13 {
        return None;
    }
    let mantissa = u64::from_str_radix(&format!("{whole}{fraction}"), 16).ok()? as f64;
    let exponent: i32 = exponent.parse().ok()?;
    let value = mantissa * 2f64.powi(exponent.clamp(-2000, 2000) - 4 * fraction.len() as i32);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_numbers() {
        assert!(matches!(Value::borrowed("-5").to_int(), Ok(Value::Int(-5))));
        assert!(matches!(Value::borrowed("+5").to_int(), Ok(Value::Int(5))));
        assert!(Value::borrowed("+5").to_uint().is_err());
        assert!(Value::borrowed(" 5").to_int().is_err());
        assert!(matches!(Value::borrowed("1e3").to_double(), Ok(Value::Double(v)) if v == 1000.0));
        assert!(matches!(Value::borrowed("0x1.8p1").to_double(), Ok(Value::Double(v)) if v == 3.0));
        assert!(matches!(Value::borrowed("-Infinity").to_double(), Ok(Value::Double(v)) if v == f64::NEG_INFINITY));
        assert!(Value::borrowed("1_0").to_double().is_err());
        assert_eq!(Value::Double(-9.3e18).to_int().unwrap_err(), Error::IntOverflow);
        assert_eq!(seconds(1_500_000_000), "1.5s");
        assert_eq!(seconds(-7_200_000_000_000), "-7200s");
    }
}
