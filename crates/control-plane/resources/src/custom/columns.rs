//! The cells of a custom resource's printer columns.
//!
//! Source: apiextensions-apiserver `registry/customresource/tableconvertor`.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::time;
use windlass_machinery::go;
use windlass_machinery::structural::json_path::JsonPath;

use crate::columns::{Column, since};
use crate::definition::PrinterColumn;

/// What discovery says of a column when its author says nothing.
fn description(column: &PrinterColumn) -> String {
    match column.description.as_str() {
        "" => format!("Custom resource definition column (in JSONPath format): {}", column.json_path),
        text => text.to_owned(),
    }
}

/// The column of every custom resource that has no others of its own.
pub(super) fn age() -> PrinterColumn {
    PrinterColumn {
        name: "Age".to_owned(),
        kind: "date".to_owned(),
        description: "When the object was created.".to_owned(),
        json_path: ".metadata.creationTimestamp".to_owned(),
        ..PrinterColumn::default()
    }
}

pub(super) fn column(column: &PrinterColumn) -> Column {
    Column {
        name: column.name.clone().into(),
        kind: column.kind.clone().into(),
        format: column.format.clone().into(),
        description: description(column).into(),
        priority: column.priority,
    }
}

/// The first value that a column's path finds, as its type wants it; null when there is none or it is of another type.
pub(super) fn cell(kind: &str, path: Option<&JsonPath>, object: &Value, now: Timestamp) -> Value {
    let found = path.and_then(|path| path.find(object).into_iter().next());
    let Some(value) = found else { return Value::Null };
    let cell = match (kind, value) {
        ("string", Value::Array(_) | Value::Object(_)) => Some(Value::from(value.to_string())),
        ("string", value) => Some(Value::from(go::print(value))),
        ("integer", Value::Number(number)) => {
            number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)).map(Value::from)
        }
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => Some(value.clone()),
        ("date", Value::String(text)) => Some(Value::from(match time::parse_rfc3339(text) {
            Some(_) => since(Some(value), now),
            None => "<invalid>".to_owned(),
        })),
        _ => None,
    };
    cell.unwrap_or_default()
}
