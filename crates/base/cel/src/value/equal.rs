//! Equality. Most values of different types are unequal; some of libraries and schemas refuse to be compared instead.

use std::cmp::Ordering;

use super::compare::numbers;
use super::{List, Map, Opaque, Value, from_json, merging};
use crate::error::Error;
use crate::work;

impl<'a> Value<'a> {
    /// Whether two values are equal, as `==` says.
    pub(crate) fn equals(&self, other: &Value<'a>) -> Result<bool, Error> {
        if matches!(self, Self::Null) || matches!(other, Value::Null) {
            return Ok(matches!((self, other), (Self::Null, Value::Null)));
        }
        self.equals_not_null(other)
    }

    /// The same for what asks the left value alone.
    pub(crate) fn equals_not_null(&self, other: &Value<'a>) -> Result<bool, Error> {
        if let Some(ordering) = numbers(self, other) {
            return Ok(ordering == Some(Ordering::Equal));
        }
        Ok(match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::String(a), Value::String(b)) => bytes(a.as_str().as_bytes(), b.as_str().as_bytes())?,
            (Self::Bytes(a), Value::Bytes(b)) => bytes(a.as_bytes(), b.as_bytes())?,
            (Self::Timestamp(a), Value::Timestamp(b)) => a.instant() == b.instant(),
            (Self::Duration(a), Value::Duration(b)) => a == b,
            (Self::Type(a), Value::Type(b)) => a.as_str() == b.as_str(),
            (Self::Optional(None), Value::Optional(None)) => true,
            (Self::Optional(Some(a)), Value::Optional(Some(b))) => a.equals_not_null(b)?,
            (Self::List(list), _) => return lists(list, other),
            (Self::Map(map), _) => return maps(map, other),
            (Self::Object(a), Value::Object(b)) => return objects(&a.fields, &b.fields, a.name == b.name),
            (Self::Library(a), Value::Library(b)) => return opaque(a, b),
            (Self::Library(_) | Self::Check(_), _) => return Err(Error::NoSuchOverload),
            (Self::Unknown(a), Value::Unknown(b)) => a == b,
            _ => false,
        })
    }
}

/// How many bytes are compared with the effort of one element.
const BYTES_AT_ONCE: usize = 64;

fn bytes(a: &[u8], b: &[u8]) -> Result<bool, Error> {
    if a.len() != b.len() {
        return Ok(false);
    }
    if a.len() > BYTES_AT_ONCE {
        work::spend(a.len() / BYTES_AT_ONCE)?;
    }
    Ok(a == b)
}

fn lists<'a>(list: &List<'a>, other: &Value<'a>) -> Result<bool, Error> {
    work::spend(1 + list.len())?;
    if let List::Json { items, schema: Some(schema) } = list {
        return merging::lists_are_equal(items, *schema, other);
    }
    let Value::List(other) = other else { return Ok(false) };
    if let List::Merging { key, .. } = list {
        return merging::merging_lists_are_equal(list, key, other);
    }
    if list.len() != other.len() {
        return Ok(false);
    }
    for (a, b) in list.iter().zip(other.iter()) {
        // What cannot be compared does not make lists differ.
        if let (Ok(a), Ok(b)) = (a, b)
            && a.equals(&b) == Ok(false)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn maps<'a>(map: &Map<'a>, other: &Value<'a>) -> Result<bool, Error> {
    work::spend(1 + map.len())?;
    if let Map::Json { object, schema: Some(schema) } = map {
        return from_json::objects_are_equal(object, *schema, other);
    }
    let Value::Map(other) = other else { return Ok(false) };
    if map.len() != other.len() {
        return Ok(false);
    }
    for key in map.keys() {
        let Some(found) = other.find(&key) else { return Ok(false) };
        if let (Some(Ok(a)), Ok(b)) = (map.find(&key), found)
            && a.equals(&b) == Ok(false)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

type Field<'a> = (std::sync::Arc<str>, Value<'a>);

fn objects<'a>(a: &[Field<'a>], b: &[Field<'a>], are_of_one_type: bool) -> Result<bool, Error> {
    work::spend(1 + a.len())?;
    if !are_of_one_type || a.len() != b.len() {
        return Ok(false);
    }
    for (name, value) in a {
        let Some((_, other)) = b.iter().find(|(other, _)| other == name) else { return Ok(false) };
        if !value.equals(other)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn opaque(a: &Opaque, b: &Opaque) -> Result<bool, Error> {
    Ok(match (a, b) {
        (Opaque::Url(a), Opaque::Url(b)) => a.to_string() == b.to_string(),
        (Opaque::Ip(a), Opaque::Ip(b)) => a == b,
        (Opaque::Cidr(a), Opaque::Cidr(b)) => a == b,
        // Upstream compares with what was parsed only, not with what was computed.
        (Opaque::Quantity(a), Opaque::Quantity(b)) if !b.computed => a.value == b.value,
        (Opaque::Semver(a), Opaque::Semver(b)) => a.order(b) == Ordering::Equal,
        (Opaque::Format(a), Opaque::Format(b)) => a.title == b.title,
        _ => return Err(Error::NoSuchOverload),
    })
}
