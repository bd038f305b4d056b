//! Values as JSON, for what callers store and show.

use base64::Engine;
use serde_json::Value as Json;

use super::Value;
use crate::error::Error;

/// How many elements a value may have, of lists and maps together, to become JSON: what a request may have in characters.
const DISPLAYED_ITEMS_MAX: usize = 3 * 1024 * 1024;

impl Value<'_> {
    /// Returns the value as JSON; types, checks and values of libraries have none.
    pub fn to_json(&self) -> Result<Json, Error> {
        let mut left = DISPLAYED_ITEMS_MAX;
        json(self, &mut left)
    }
}

fn json(value: &Value<'_>, left: &mut usize) -> Result<Json, Error> {
    *left = left.checked_sub(1).ok_or_else(|| Error::Data("the value is too large".to_owned()))?;
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Uint(value) => Json::from(*value),
        Value::Double(value) => Json::from(*value),
        Value::String(text) => Json::from(text.as_str()),
        Value::Bytes(bytes) => Json::from(base64::engine::general_purpose::STANDARD.encode(bytes.as_bytes())),
        Value::Timestamp(_) | Value::Duration(_) => json(&value.to_text()?, left)?,
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.len());
            for value in list.iter() {
                items.push(json(&value?, left)?);
            }
            Json::Array(items)
        }
        Value::Map(map) => {
            let mut object = serde_json::Map::new();
            for key in map.keys() {
                if let Some(value) = map.find(&key) {
                    object.insert(key.to_string(), json(&value?, left)?);
                }
            }
            Json::Object(object)
        }
        Value::Object(constructed) => {
            let mut object = serde_json::Map::new();
            for (name, value) in constructed.fields() {
                object.insert(name.to_owned(), json(value, left)?);
            }
            Json::Object(object)
        }
        Value::Optional(Some(value)) => json(value, left)?,
        Value::Unknown(data) => (*data).clone(),
        Value::Optional(None) | Value::Type(_) | Value::Library(_) | Value::Check(_) => {
            return Err(Error::conversion(value.type_name(), "google.protobuf.Value"));
        }
    })
}
