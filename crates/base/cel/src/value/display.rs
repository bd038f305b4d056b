//! Values as messages write them.

use std::fmt;

use super::{List, Map, Opaque, Value};

/// How many elements are shown of lists and maps: parts that are shared are shown as often as they stand there.
const SHOWN_MAX: usize = 100_000;

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = SHOWN_MAX;
        self.show(f, &mut left)
    }
}

impl Value<'_> {
    fn show(&self, f: &mut fmt::Formatter<'_>, left: &mut usize) -> fmt::Result {
        match self {
            // Upstream shows the number that stands for it.
            Self::Null => f.write_str("0"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Uint(value) => write!(f, "{value}"),
            Self::Double(value) => f.write_str(&double_shortest(*value, 21)),
            Self::String(text) | Self::Type(text) => f.write_str(text.as_str()),
            Self::Bytes(bytes) => {
                let numbers: Vec<String> = bytes.as_bytes().iter().map(u8::to_string).collect();
                write!(f, "[{}]", numbers.join(" "))
            }
            Self::Timestamp(at) => write!(f, "{at}"),
            Self::Duration(nanos) => f.write_str(&windlass_api::time::format_duration(*nanos)),
            Self::List(list) => show_list(list, f, left),
            Self::Map(map) => show_map(map, f, left),
            Self::Optional(None) => f.write_str("optional.none()"),
            Self::Optional(Some(value)) => {
                f.write_str("optional(")?;
                value.show(f, left)?;
                f.write_str(")")
            }
            Self::Library(opaque) => match &**opaque {
                Opaque::Url(url) => write!(f, "{url}"),
                Opaque::Ip(ip) => write!(f, "{ip}"),
                Opaque::Cidr(cidr) => write!(f, "{cidr}"),
                Opaque::Quantity(quantity) => write!(f, "{}", quantity.value),
                Opaque::Semver(version) => write!(f, "{version}"),
                Opaque::Format(format) => f.write_str(format.title),
            },
            other => f.write_str(other.type_name()),
        }
    }
}

/// What stands before an element; nothing if no more are shown.
fn before(index: usize, f: &mut fmt::Formatter<'_>, left: &mut usize) -> Result<bool, fmt::Error> {
    f.write_str(if index > 0 { ", " } else { "" })?;
    if *left == 0 {
        f.write_str("…")?;
        return Ok(false);
    }
    *left -= 1;
    Ok(true)
}

fn show_list(list: &List<'_>, f: &mut fmt::Formatter<'_>, left: &mut usize) -> fmt::Result {
    f.write_str("[")?;
    for (index, value) in list.iter().enumerate() {
        if !before(index, f, left)? {
            break;
        }
        match value {
            Ok(value) => value.show(f, left)?,
            Err(error) => write!(f, "{error}")?,
        }
    }
    f.write_str("]")
}

fn show_map(map: &Map<'_>, f: &mut fmt::Formatter<'_>, left: &mut usize) -> fmt::Result {
    f.write_str("{")?;
    for (index, key) in map.keys().into_iter().enumerate() {
        if !before(index, f, left)? {
            break;
        }
        write!(f, "{key}")?;
        match map.find(&key) {
            Some(Ok(value)) => {
                f.write_str(": ")?;
                value.show(f, left)?;
            }
            Some(Err(error)) => write!(f, ": {error}")?,
            None => {}
        }
    }
    f.write_str("}")
}

/// Writes a double with as few digits as tell it from others; with an exponent below 10⁻⁴ and from 10^`exponent_from`, as Go does.
pub(crate) fn double_shortest(value: f64, exponent_from: i32) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // `1.5e-7`: the digits and the exponent that are needed either way.
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..exponent_from).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_go_writes_them() {
        let cases = [
            (1.0, "1"),
            (0.5, "0.5"),
            (-0.0, "-0"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(double_shortest(value, 21), expected);
        }
    }
}
