//! From protobuf to a tree, by the schema's field numbers. The tree is raw: it goes through [`crate::decode::from_value`], as
//! everything does that a client sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};
use windlass_api::time;

use super::MAGIC;
use super::error::ProtobufError;
use super::wire::{Field as Wire, Reader};
use crate::schema::{Field, Scalar, Schema, Shape, TypeId};

/// As deep as messages may nest, like JSON.
const DEPTH_MAX: usize = 128;

/// What an envelope carries.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    pub api_version: &'a str,
    pub kind: &'a str,
    /// The object's message.
    pub raw: &'a [u8],
}

pub fn open_envelope(bytes: &[u8]) -> Result<Envelope<'_>, ProtobufError> {
    let body = bytes.strip_prefix(MAGIC).ok_or(ProtobufError::NoEnvelope)?;
    let mut envelope = Envelope { api_version: "", kind: "", raw: &[] };
    let mut reader = Reader::new(body);
    while let Some((number, field)) = reader.field()? {
        match (number, field) {
            (1, Wire::Bytes(type_meta)) => {
                let mut reader = Reader::new(type_meta);
                while let Some((number, field)) = reader.field()? {
                    match (number, field) {
                        (1, Wire::Bytes(text)) => envelope.api_version = utf8(text)?,
                        (2, Wire::Bytes(text)) => envelope.kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(raw)) => envelope.raw = raw,
            _ => {}
        }
    }
    Ok(envelope)
}

/// Reads an object's message.
pub fn decode(schema: &Schema, id: TypeId, bytes: &[u8]) -> Result<Value, ProtobufError> {
    let mut object = Map::new();
    message(schema, id, bytes, &mut object, 0)?;
    Ok(Value::Object(object))
}

fn utf8(bytes: &[u8]) -> Result<&str, ProtobufError> {
    std::str::from_utf8(bytes).map_err(|_| ProtobufError::Utf8)
}

/// Reads a message's fields into `object`; a message that comes in pieces is merged.
fn message(
    schema: &Schema,
    id: TypeId,
    bytes: &[u8],
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ProtobufError> {
    if depth > DEPTH_MAX {
        return Err(ProtobufError::TooDeep);
    }
    let t = schema.get(id);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        if let Some(field) = t.fields.iter().find(|f| f.number == number && f.within.is_empty()) {
            put(schema, field, wire, object, depth)?;
        } else if let Some((_, inlined)) = t.inlined.iter().find(|(n, _)| *n == number) {
            let Wire::Bytes(bytes) = wire else { return Err(ProtobufError::WireType) };
            message(schema, *inlined, bytes, object, depth + 1)?;
        }
    }
    Ok(())
}

fn put(
    schema: &Schema,
    field: &Field,
    wire: Wire<'_>,
    object: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), ProtobufError> {
    let name = &*field.name;
    match (&field.shape, wire) {
        (Shape::List(element), wire) => {
            let list = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(items) = list else { return Ok(()) };
            match (&**element, wire) {
                // Numbers may come packed.
                (Shape::Scalar(Scalar::Int32 | Scalar::Int64), Wire::Bytes(packed)) => {
                    let mut reader = Reader::new(packed);
                    while !reader.is_empty() {
                        items.push((reader.varint()? as i64).into());
                    }
                }
                (element, wire) => items.push(value(schema, element, wire, depth)?),
            }
        }
        (Shape::Map(element), Wire::Bytes(entry)) => {
            let (mut key, mut content) = (String::new(), None);
            let mut reader = Reader::new(entry);
            while let Some((number, wire)) = reader.field()? {
                match (number, wire) {
                    (1, Wire::Bytes(text)) => utf8(text)?.clone_into(&mut key),
                    (2, wire) => content = Some(value(schema, element, wire, depth)?),
                    _ => {}
                }
            }
            let map = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(entries) = map {
                entries.insert(key, content.unwrap_or(Value::Null));
            }
        }
        (Shape::Struct(id), Wire::Bytes(bytes)) => {
            let inner = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                message(schema, *id, bytes, inner, depth + 1)?;
            }
        }
        (shape, wire) => {
            let content = value(schema, shape, wire, depth)?;
            object.insert(name.to_owned(), content);
        }
    }
    Ok(())
}

fn value(schema: &Schema, shape: &Shape, wire: Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
    Ok(match (shape, wire) {
        (Shape::Struct(id), Wire::Bytes(bytes)) => {
            let mut object = Map::new();
            message(schema, *id, bytes, &mut object, depth + 1)?;
            Value::Object(object)
        }
        (Shape::WrappedList(element), Wire::Bytes(bytes)) => {
            let mut items = Vec::new();
            let mut reader = Reader::new(bytes);
            while let Some((number, wire)) = reader.field()? {
                if number == 1 {
                    items.push(value(schema, element, wire, depth)?);
                }
            }
            Value::Array(items)
        }
        (Shape::Scalar(Scalar::String), Wire::Bytes(text)) => Value::from(utf8(text)?),
        (Shape::Scalar(Scalar::Bytes), Wire::Bytes(bytes)) => Value::from(BASE64.encode(bytes)),
        (Shape::Scalar(Scalar::Int32), Wire::Varint(number)) => Value::from(number as i32),
        (Shape::Scalar(Scalar::Int64), Wire::Varint(number)) => Value::from(number as i64),
        (Shape::Scalar(Scalar::Bool), Wire::Varint(number)) => Value::from(number != 0),
        (Shape::Scalar(Scalar::Double), Wire::Fixed64(bits)) => Value::from(f64::from_bits(bits)),
        (Shape::Scalar(Scalar::Double), Wire::Fixed32(bits)) => Value::from(f64::from(f32::from_bits(bits))),
        (Shape::Scalar(scalar), Wire::Bytes(bytes)) => scalar_message(schema, *scalar, bytes, depth)?,
        _ => return Err(ProtobufError::WireType),
    })
}

/// Scalars in JSON that are small messages in protobuf.
fn scalar_message(schema: &Schema, scalar: Scalar, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    match scalar {
        Scalar::SchemaOrBool | Scalar::SchemaOrArray | Scalar::SchemaOrStrings => {
            return schema_union(schema, scalar, bytes, depth);
        }
        Scalar::String | Scalar::Bytes | Scalar::Int32 | Scalar::Int64 | Scalar::Bool | Scalar::Double => {
            return Err(ProtobufError::WireType);
        }
        _ => {}
    }
    let (mut numbers, mut texts) = ([0_i64; 4], [None; 4]);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        match (number as usize, wire) {
            (n @ 0..4, Wire::Varint(value)) => numbers[n] = value as i64,
            (n @ 0..4, Wire::Bytes(bytes)) => texts[n] = Some(bytes),
            _ => {}
        }
    }
    let text = |n: usize| utf8(texts[n].unwrap_or_default());
    Ok(match scalar {
        Scalar::Quantity => Value::from(if texts[1].is_none() { "0" } else { text(1)? }),
        Scalar::IntOrString if numbers[1] == 0 => Value::from(numbers[2] as i32),
        Scalar::IntOrString => Value::from(text(3)?),
        Scalar::Duration => Value::from(time::format_duration(numbers[1])),
        // The zero time is an empty message, and null in JSON; Go writes its year 1 as a negative number of seconds.
        Scalar::Time | Scalar::MicroTime if bytes.is_empty() || numbers[1] == -62_135_596_800 => Value::Null,
        Scalar::Time | Scalar::MicroTime => {
            let at = jiff::Timestamp::new(numbers[1], i32::try_from(numbers[2]).unwrap_or(0));
            let at = at.map_err(|_| ProtobufError::Malformed)?;
            Value::from(if scalar == Scalar::Time { time::rfc3339(at) } else { time::rfc3339_micro(at) })
        }
        _ => match texts[1] {
            Some(raw) if !raw.is_empty() => serde_json::from_slice(raw).map_err(|_| ProtobufError::Json)?,
            _ => Value::Null,
        },
    })
}

/// JSONSchemaProps or something simpler: which it is shows in the field that is set.
fn schema_union(schema: &Schema, scalar: Scalar, bytes: &[u8], depth: usize) -> Result<Value, ProtobufError> {
    let props = schema.find("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps");
    let Some(id) = props else { return Ok(Value::Null) };
    let props = Shape::Struct(id);
    let (mut items, mut is_list) = (Vec::new(), false);
    let mut result = Value::Null;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.field()? {
        match (scalar, number, wire) {
            (Scalar::SchemaOrBool, 1, Wire::Varint(allows)) if result.is_null() => result = Value::from(allows != 0),
            (Scalar::SchemaOrBool, 2, wire) => result = value(schema, &props, wire, depth)?,
            (Scalar::SchemaOrArray | Scalar::SchemaOrStrings, 1, wire) => result = value(schema, &props, wire, depth)?,
            (Scalar::SchemaOrArray, 2, wire) => {
                is_list = true;
                items.push(value(schema, &props, wire, depth)?);
            }
            (Scalar::SchemaOrStrings, 2, Wire::Bytes(text)) => {
                is_list = true;
                items.push(Value::from(utf8(text)?));
            }
            _ => {}
        }
    }
    Ok(if is_list { Value::Array(items) } else { result })
}
