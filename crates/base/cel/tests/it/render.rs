//! Values as the recorder writes them down.

use base64::Engine;
use windlass_cel::{List, Map, Opaque, Value};

pub(crate) fn render(value: &Value<'_>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => format!("{value}u"),
        Value::Double(value) if value.is_nan() => "double NaN".to_owned(),
        Value::Double(value) => format!("double {:x}", value.to_bits()),
        Value::String(text) => quoted(text.as_str()),
        Value::Bytes(bytes) => format!("bytes {}", base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes())),
        Value::Duration(nanos) => format!("duration {nanos}"),
        Value::Timestamp(at) => format!("timestamp {at}"),
        Value::Type(name) => format!("type {}", name.as_str()),
        Value::Optional(None) => "optional.none".to_owned(),
        Value::Optional(Some(value)) => format!("optional({})", render(value)),
        Value::List(list) => list_text(list),
        Value::Map(map) => map_text(map),
        Value::Library(opaque) => match &**opaque {
            Opaque::Url(_) => format!("url {value}"),
            Opaque::Ip(_) => format!("ip {value}"),
            Opaque::Cidr(_) => format!("cidr {value}"),
            Opaque::Quantity(_) => format!("quantity {value}"),
            Opaque::Semver(_) => format!("semver {value}"),
            Opaque::Format(_) => format!("format {value}"),
        },
        other => other.type_name().to_owned(),
    }
}

/// Quotes as Go's `strconv.QuoteToASCII` does.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            c if u32::from(c) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

fn list_text(list: &List<'_>) -> String {
    let parts: Vec<String> =
        list.iter().map(|value| value.map_or_else(|e| format!("error {e}"), |v| render(&v))).collect();
    format!("[{}]", parts.join(", "))
}

fn map_text(map: &Map<'_>) -> String {
    let mut parts = Vec::new();
    for key in map.keys() {
        let value = match map.find(&key) {
            None => "hidden".to_owned(),
            Some(value) => value.map_or_else(|e| format!("error {e}"), |v| render(&v)),
        };
        parts.push(format!("{}: {value}", render(&key)));
    }
    parts.sort();
    format!("{{{}}}", parts.join(", "))
}
