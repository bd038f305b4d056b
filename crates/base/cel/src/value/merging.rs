//! Lists that are sets or maps by their schema: their order does not count, and adding to them merges.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::error::Error;
use crate::schema::{MergeKey, Schema};
use crate::value::{List, Value};
use crate::work;

impl MergeKey {
    /// Returns a text that differs for elements that differ.
    fn key(&self, element: &Value<'_>) -> Result<String, Error> {
        match self {
            Self::Value => match element {
                Value::List(_) | Value::Map(_) => {
                    let message = "listSet operations are only supported on lists of scalar values";
                    Err(Error::Argument(message.to_owned()))
                }
                scalar => Ok(tagged(scalar)),
            },
            Self::Fields(fields) => {
                let Value::Map(map) = element else { return Ok("?".to_owned()) };
                let parts = fields.iter().map(|field| match map.find(&Value::borrowed(field)) {
                    Some(Ok(value)) => tagged(&value),
                    _ => "-".to_owned(),
                });
                Ok(parts.collect::<Vec<_>>().join("\0"))
            }
        }
    }
}

fn tagged(value: &Value<'_>) -> String {
    format!("{} {value}", value.type_name())
}

/// Whether a list with a schema equals a value.
pub(crate) fn lists_are_equal<'a>(items: &'a [Json], schema: &'a dyn Schema, other: &Value<'a>) -> Result<bool, Error> {
    let Value::List(other) = other else { return Err(Error::NoSuchOverload) };
    let list = List::Json { items, schema: Some(schema) };
    if let Some(key) = MergeKey::of(schema) {
        return merging_lists_are_equal(&list, &key, other);
    }
    if list.len() != other.len() {
        return Ok(false);
    }
    work::spend(1 + list.len())?;
    for (a, b) in list.iter().zip(other.iter()) {
        if !a?.equals_not_null(&b?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two lists have the same elements by their keys.
pub(crate) fn merging_lists_are_equal<'a>(list: &List<'a>, key: &MergeKey, other: &List<'a>) -> Result<bool, Error> {
    work::spend(1 + list.len())?;
    if list.len() != other.len() {
        return Ok(false);
    }
    let mut elements = HashMap::with_capacity(list.len());
    for element in list.iter() {
        let element = element?;
        elements.insert(key.key(&element)?, (element, false));
    }
    for element in other.iter() {
        let element = element?;
        let Some((have, seen)) = elements.get_mut(&key.key(&element)?) else { return Ok(false) };
        if matches!(key, MergeKey::Fields(_)) && !have.equals_not_null(&element)? {
            return Ok(false);
        }
        *seen = true;
    }
    Ok(elements.values().all(|(_, seen)| *seen))
}

/// Adds two lists, the first of which may merge.
pub(crate) fn added<'a>(list: List<'a>, other: &List<'a>) -> Result<List<'a>, Error> {
    let key = match &list {
        List::Json { schema: Some(schema), .. } => MergeKey::of(*schema),
        List::Merging { key, .. } => Some(key.clone()),
        _ => None,
    };
    let Some(key) = key else { return list.append(other) };
    work::spend(list.len() + other.len())?;
    let mut values = list.values()?;
    let mut places = HashMap::with_capacity(values.len());
    for (place, value) in values.iter().enumerate() {
        places.insert(key.key(value)?, place);
    }
    for value in other.iter() {
        let value = value?;
        let name = key.key(&value)?;
        match (places.get(&name), &key) {
            (Some(place), MergeKey::Fields(_)) => values[*place] = value,
            (Some(_), MergeKey::Value) => {}
            (None, _) => {
                places.insert(name, values.len());
                values.push(value);
            }
        }
    }
    Ok(List::Merging { values: Arc::new(values.into_iter().collect()), key })
}

/// Whether a list has an element that equals a value.
pub(crate) fn contains<'a>(list: &List<'a>, value: &Value<'a>) -> Result<bool, Error> {
    work::spend(list.len())?;
    let has_schema = matches!(list, List::Json { schema: Some(_), .. });
    let mut fault = None;
    for element in list.iter() {
        // Without a schema the value is asked, and what it cannot be compared with is passed over.
        let equal = match element {
            Ok(element) if has_schema => element.equals_not_null(value),
            Ok(element) => value.equals_not_null(&element),
            Err(error) => Err(error),
        };
        match equal {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => fault = fault.or(Some(error)),
        }
    }
    match fault {
        Some(fault) if has_schema => Err(fault),
        _ => Ok(false),
    }
}
