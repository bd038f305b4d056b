//! How large data may be by its schema, for the estimates of costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::declare::{Step, step};
use super::{Kind, Schema, escape, unescape};

/// The largest request, in bytes: what bounds data that has no bound of its own.
const REQUEST_BYTES_MAX: i64 = 3 * 1024 * 1024;

/// How large the data may be that an expression is estimated for.
pub trait Sizes: std::fmt::Debug + Send + Sync {
    /// Returns the greatest size of what stands at a path: a variable's name, then fields, `@items`, `@keys` or `@values`.
    /// Of a string that is its characters, of lists and maps the elements.
    fn size_max(&self, path: &[&str]) -> Option<u64>;
}

/// The schemas of variables.
#[derive(Clone, Debug, Default)]
pub struct SchemaSizes {
    variables: BTreeMap<String, Arc<dyn Schema>>,
}

impl SchemaSizes {
    #[must_use]
    pub fn variable(mut self, name: &str, schema: Arc<dyn Schema>) -> Self {
        self.variables.insert(name.to_owned(), schema);
        self
    }
}

impl Sizes for SchemaSizes {
    fn size_max(&self, path: &[&str]) -> Option<u64> {
        let (variable, rest) = path.split_first()?;
        let mut schema: &dyn Schema = &**self.variables.get(*variable)?;
        let mut steps = rest.iter().peekable();
        while let Some(name) = steps.next() {
            let next = match *name {
                "@items" if schema.kind() == Kind::Array => Step::Items,
                "@values" if schema.kind() == Kind::Object => Step::Additional,
                // Nothing bounds the keys, and upstream takes that for no cost.
                "@keys" if schema.additional_properties().is_some() => return steps.peek().is_none().then_some(0),
                // A reserved word that is written as it is may be read, yet upstream knows no size for it.
                name => {
                    let property = unescape(name)?;
                    if escape(&property).as_deref() != Some(name) {
                        return None;
                    }
                    Step::Property(property)
                }
            };
            schema = step(schema, &next, false)?;
        }
        elements_max(schema)
    }
}

/// Returns the greatest number of elements, or none if the data has no type.
fn elements_max(schema: &dyn Schema) -> Option<u64> {
    let elements = if schema.int_or_string() {
        schema.max_length().map_or(REQUEST_BYTES_MAX - 2, characters)
    } else {
        match schema.kind() {
            Kind::Array => {
                let item = min_size(schema.items()?)?;
                schema.max_items().map_or((REQUEST_BYTES_MAX - 2) / (item + 1), |max| max.max(0))
            }
            Kind::Object => match schema.additional_properties() {
                Some(values) => {
                    let value = min_size(values)?;
                    schema.max_properties().map_or((REQUEST_BYTES_MAX - 2) / (value + 6), |max| max.max(0))
                }
                None => 0,
            },
            Kind::String => string_max(schema),
            Kind::Number | Kind::Integer | Kind::Boolean => 0,
            Kind::Unspecified => return None,
        }
    };
    Some(elements.unsigned_abs())
}

/// Upstream counts four bytes for a character.
fn characters(max_length: i64) -> i64 {
    max_length.max(0).saturating_mul(4)
}

fn string_max(schema: &dyn Schema) -> i64 {
    match schema.format() {
        "byte" => schema.max_length().map_or(REQUEST_BYTES_MAX - 2, |max| max.max(0)),
        "duration" | "date-time" => 32,
        "date" => 12,
        _ => match (schema.max_length(), schema.longest_enum_value()) {
            (Some(max), _) => characters(max),
            (None, Some(longest)) => longest as i64,
            (None, None) => REQUEST_BYTES_MAX - 2,
        },
    }
}

/// Returns the length of the shortest JSON that the schema allows, or none if the data has no type.
fn min_size(schema: &dyn Schema) -> Option<i64> {
    if schema.int_or_string() {
        return Some(1);
    }
    Some(match schema.kind() {
        Kind::Array => {
            min_size(schema.items()?)?;
            2
        }
        Kind::Object => match schema.additional_properties() {
            Some(values) => {
                min_size(values)?;
                2
            }
            None => object_min_size(schema),
        },
        Kind::String => match schema.format() {
            "duration" => 3,
            "date" => 12,
            "date-time" => 21,
            _ => 2,
        },
        Kind::Boolean => 4,
        Kind::Number | Kind::Integer => 1,
        Kind::Unspecified => return None,
    })
}

fn object_min_size(schema: &dyn Schema) -> i64 {
    let mut size: i64 = 2;
    for name in schema.property_names() {
        let Some(property) = schema.property(name) else { continue };
        if schema.is_required(name)
            && !property.has_default()
            && let Some(value) = min_size(property)
        {
            size += name.len() as i64 + value + 4;
        }
    }
    size
}

/// Returns how often data with a schema can stand in one request, if nothing bounds it.
pub fn cardinality_max(schema: &dyn Schema) -> u64 {
    let size = min_size(schema).unwrap_or(0);
    (REQUEST_BYTES_MAX / (size + 1)).unsigned_abs()
}
