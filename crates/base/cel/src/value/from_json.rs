//! JSON as values, by its schema or without one.

use base64::Engine;
use serde_json::{Map as JsonMap, Value as Json};

use crate::error::Error;
use crate::kinds::timestamp::Timestamp;
use crate::schema::{Kind, Schema, escape, property_of, unescape};
use crate::value::{List, Map, Value};
use crate::work;

impl<'a> Value<'a> {
    /// Returns data as a value, by its schema or as it is. Nothing is copied, and parts are looked at when they are asked for.
    pub fn from_json(data: &'a Json, schema: Option<&'a dyn Schema>) -> Result<Self, Error> {
        match schema {
            Some(schema) => by_schema(data, schema),
            None => Ok(plain(data)),
        }
    }
}

fn plain(data: &Json) -> Value<'_> {
    match data {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::borrowed(text),
        Json::Array(items) => Value::List(List::Json { items, schema: None }),
        Json::Object(object) => Value::Map(Map::Json { object, schema: None }),
    }
}

/// What Go calls the type of decoded data.
fn go_type(data: &Json) -> &'static str {
    match data {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_i64() => "int64",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}

fn by_schema<'a>(data: &'a Json, schema: &'a dyn Schema) -> Result<Value<'a>, Error> {
    let wrong = |message: String| Err(Error::Data(message));
    let unexpected = |expected: &str| wrong(format!("invalid data, expected {expected}, got {}", go_type(data)));
    if data.is_null() {
        if schema.nullable() {
            return Ok(Value::Null);
        }
        return wrong("invalid data, got null for schema with nullable=false".to_owned());
    }
    if schema.int_or_string() {
        return match plain(data) {
            value @ (Value::Int(_) | Value::String(_)) => Ok(value),
            _ => wrong("invalid data, expected XIntOrString value to be either a string or integer".to_owned()),
        };
    }
    match (schema.kind(), data) {
        (Kind::Object, Json::Object(object)) => Ok(Value::Map(Map::Json { object, schema: Some(schema) })),
        (Kind::Object, _) => wrong("invalid data, expected a map for the provided schema with type=object".to_owned()),
        (Kind::Array, Json::Array(items)) => match schema.items() {
            Some(_) => Ok(Value::List(List::Json { items, schema: Some(schema) })),
            None => wrong("invalid array type, expected Items with a non-empty Schema".to_owned()),
        },
        (Kind::Array, _) => wrong("invalid data, expected an array for the provided schema with type=array".to_owned()),
        (Kind::String, Json::String(text)) => formatted(text, schema.format()),
        (Kind::String, _) => unexpected("string"),
        (Kind::Number, Json::Number(number)) => Ok(Value::Double(number.as_f64().unwrap_or(f64::NAN))),
        (Kind::Number, _) => unexpected("float"),
        (Kind::Integer, data) => match data.as_i64() {
            Some(int) => Ok(Value::Int(int)),
            None => unexpected("int"),
        },
        (Kind::Boolean, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (Kind::Boolean, _) => unexpected("bool"),
        (Kind::Unspecified, _) if schema.preserve_unknown_fields() => Ok(Value::Unknown(data)),
        (Kind::Unspecified, _) => wrong(
            "invalid type, expected object, array, number, integer, boolean or string, or no type with \
             x-kubernetes-int-or-string or x-kubernetes-preserve-unknown-fields is true, got "
                .to_owned(),
        ),
    }
}

fn formatted<'a>(text: &'a str, format: &str) -> Result<Value<'a>, Error> {
    match format {
        "duration" => match windlass_api::time::parse_duration(text) {
            Some(nanos) => Ok(Value::Duration(nanos)),
            None => Err(Error::Data(format!("Invalid duration {text}: time: invalid duration \"{text}\""))),
        },
        "date" => match Timestamp::parse_date(text) {
            Some(at) => Ok(Value::Timestamp(at)),
            None => Err(Error::Data(format!("Invalid date formatted string {text}: parsing time \"{text}\""))),
        },
        "date-time" => match date_time(text) {
            Some(at) => Ok(Value::Timestamp(at)),
            None => Err(Error::Data(format!("Invalid date-time formatted string {text}: parsing time \"{text}\""))),
        },
        "byte" => match base64::engine::general_purpose::STANDARD.decode(text.replace(['\n', '\r'], "")) {
            Ok(bytes) => Ok(Value::bytes(bytes)),
            Err(error) => Err(Error::Data(format!("Invalid byte formatted string {text}: {error}"))),
        },
        _ => Ok(Value::borrowed(text)),
    }
}

/// Reads a date with time as OpenAPI's formats do, which allow small letters.
fn date_time(text: &str) -> Option<Timestamp> {
    Timestamp::parse(&text.to_ascii_uppercase())?.ok()
}

/// Whether properties are named one by one, by identifiers.
fn is_object(schema: &dyn Schema) -> bool {
    schema.has_properties() || schema.embedded_resource()
}

fn schema_of<'a>(schema: &'a dyn Schema, name: &str) -> Option<&'a dyn Schema> {
    if is_object(schema) {
        return property_of(schema, schema.embedded_resource(), name);
    }
    schema.additional_properties()
}

impl<'a> Map<'a> {
    /// Returns what stands at a key of an object with a schema: nothing if the schema does not name it, or it is null.
    pub(crate) fn property(
        object: &'a JsonMap<String, Json>,
        schema: &'a dyn Schema,
        key: &str,
    ) -> Option<Result<Value<'a>, Error>> {
        if !is_object(schema) {
            return Some(Value::from_json(object.get(key)?, Some(schema_of(schema, key)?)));
        }
        // Few names need to be unescaped, and the others need not be copied for it.
        let unescaped = if key.contains("__") { Some(unescape(key)?) } else { None };
        let name = unescaped.as_deref().unwrap_or(key);
        let value = object.get(name).filter(|value| !value.is_null())?;
        Some(Value::from_json(value, Some(schema_of(schema, name)?)))
    }

    /// Returns the keys that the schema names, as expressions spell them.
    pub(crate) fn shown_keys(object: &'a JsonMap<String, Json>, schema: &'a dyn Schema) -> Vec<Value<'a>> {
        let escapes = is_object(schema);
        let known = object.keys().filter(|name| schema_of(schema, name).is_some());
        known
            .map(|name| match escape(name).filter(|escaped| escapes && escaped != name) {
                Some(escaped) => Value::string(escaped),
                None => Value::borrowed(name),
            })
            .collect()
    }
}

/// Whether an object with a schema equals a value. Fields that its schema does not name are compared as they are.
pub(crate) fn objects_are_equal<'a>(
    object: &'a JsonMap<String, Json>,
    schema: &'a dyn Schema,
    other: &Value<'a>,
) -> Result<bool, Error> {
    let Value::Map(other) = other else { return Err(Error::NoSuchOverload) };
    work::spend(1 + object.len())?;
    if object.len() != other.len() {
        return Ok(false);
    }
    for (name, data) in object {
        if schema_of(schema, name).is_some() {
            let found = Map::property(object, schema, name);
            let (a, b) = match (found, other.find(&Value::borrowed(name))) {
                (Some(a), Some(b)) => (a?, b?),
                (None, None) => continue,
                _ => return Ok(false),
            };
            if !a.equals_not_null(&b)? {
                return Ok(false);
            }
        } else {
            let Map::Json { object: other, .. } = other else { return Err(Error::NoSuchOverload) };
            if other.get(name).is_some_and(|other| other != data) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
