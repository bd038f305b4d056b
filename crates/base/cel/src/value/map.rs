//! Maps: of the program, made on the way, or of the data.

use std::collections::HashMap;
use std::sync::Arc;

use super::{JSON_DEPTH_MAX, Text, Value};
use crate::error::Error;
use crate::schema::Schema;

/// A map.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    Borrowed(&'a Pairs<'a>),
    Shared(Arc<Pairs<'a>>),
    /// Data, whose fields become values when they are asked for.
    Json {
        object: &'a serde_json::Map<String, serde_json::Value>,
        schema: Option<&'a dyn Schema>,
    },
    /// Fields that the caller computes when they are asked for.
    Fields(&'a dyn Fields),
}

/// An object whose fields are computed when an expression asks for them.
pub trait Fields: std::fmt::Debug + Send + Sync {
    fn field(&self, name: &str) -> Option<Result<Value<'_>, Error>>;
    fn names(&self) -> Vec<&str>;
}

/// Keys with their values, in the order of insertion. A key is there once.
#[derive(Clone, Debug, Default)]
pub struct Pairs<'a> {
    pairs: Vec<(Value<'a>, Value<'a>)>,
    /// Where keys stand, once there are many.
    index: HashMap<Key, usize>,
    depth: u32,
}

/// Above this, keys are looked up by their hash.
const SCANNED_MAX: usize = 8;

/// What a key is told from others by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(u64),
    String(Arc<str>),
    Other,
}

impl Key {
    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Uint(value) => Self::Uint(*value),
            Value::Double(value) => Self::Double((value + 0.0).to_bits()),
            Value::String(Text::Shared(text)) => Self::String(text.clone()),
            Value::String(Text::Borrowed(text)) => Self::String((*text).into()),
            _ => Self::Other,
        }
    }
}

/// Whether two keys are the same, type and all.
fn is_same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Uint(a), Value::Uint(b)) => a == b,
        (Value::Double(a), Value::Double(b)) => a == b,
        (Value::String(a), Value::String(b)) => a.as_str() == b.as_str(),
        _ => false,
    }
}

impl<'a> Pairs<'a> {
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Value<'a>, Value<'a>)> {
        self.pairs.iter()
    }

    fn position(&self, key: &Value<'_>) -> Option<usize> {
        if self.pairs.len() <= SCANNED_MAX {
            return self.pairs.iter().position(|(have, _)| is_same(have, key));
        }
        self.index.get(&Key::of(key)).copied().filter(|at| is_same(&self.pairs[*at].0, key))
    }

    /// Sets what stands at a key.
    pub(crate) fn insert(&mut self, key: Value<'a>, value: Value<'a>) {
        self.depth = self.depth.max(value.depth());
        if let Some(at) = self.position(&key) {
            self.pairs[at].1 = value;
            return;
        }
        self.pairs.push((key, value));
        match self.pairs.len() {
            n if n <= SCANNED_MAX => {}
            n if n == SCANNED_MAX + 1 => {
                self.index = self.pairs.iter().enumerate().map(|(at, (key, _))| (Key::of(key), at)).collect();
            }
            n => {
                let key = Key::of(&self.pairs[n - 1].0);
                self.index.insert(key, n - 1);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &Value<'_>) {
        if let Some(at) = self.position(key) {
            self.pairs.remove(at);
            self.index = self.pairs.iter().enumerate().map(|(at, (key, _))| (Key::of(key), at)).collect();
        }
    }

    /// Returns what stands at a key, or at the same number of another type.
    pub(crate) fn find(&self, key: &Value<'_>) -> Option<&Value<'a>> {
        let at = self.position(key).or_else(|| match key {
            Value::Double(number) => whole(*number)
                .and_then(|int| self.position(&Value::Int(int)))
                .or_else(|| whole_unsigned(*number).and_then(|uint| self.position(&Value::Uint(uint)))),
            Value::Int(number) => self.position(&Value::Uint(u64::try_from(*number).ok()?)),
            Value::Uint(number) => self.position(&Value::Int(i64::try_from(*number).ok()?)),
            _ => None,
        })?;
        Some(&self.pairs[at].1)
    }
}

fn whole(number: f64) -> Option<i64> {
    (number.trunc() == number && number.abs() < -(i64::MIN as f64)).then_some(number as i64)
}

fn whole_unsigned(number: f64) -> Option<u64> {
    (number.trunc() == number && (0.0..1.844_674_407_370_955_2e19).contains(&number)).then_some(number as u64)
}

impl<'a> Map<'a> {
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(pairs) => pairs.len(),
            Self::Shared(pairs) => pairs.len(),
            Self::Json { object, .. } => object.len(),
            Self::Fields(fields) => fields.names().len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what stands at a key, or why the data is no value.
    pub fn find(&self, key: &Value<'_>) -> Option<Result<Value<'a>, Error>> {
        match self {
            Self::Borrowed(pairs) => pairs.find(key).cloned().map(Ok),
            Self::Shared(pairs) => pairs.find(key).cloned().map(Ok),
            Self::Json { object, schema } => match key {
                Value::String(name) => match schema {
                    None => object.get(name.as_str()).map(|value| Value::from_json(value, None)),
                    Some(schema) => Self::property(object, *schema, name.as_str()),
                },
                // Data that has a schema refuses keys that are no strings.
                _ => schema.map(|_| Err(Error::NoSuchOverload)),
            },
            Self::Fields(fields) => match key {
                Value::String(name) => fields.field(name.as_str()),
                _ => None,
            },
        }
    }

    /// Whether the map is data with a schema, which upstream treats differently in places.
    pub(crate) fn has_schema(&self) -> bool {
        matches!(self, Self::Json { schema: Some(_), .. })
    }

    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::Borrowed(pairs) => pairs.depth,
            Self::Shared(pairs) => pairs.depth,
            Self::Json { .. } | Self::Fields(_) => JSON_DEPTH_MAX,
        }
    }

    /// Returns the keys.
    pub fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Self::Borrowed(pairs) => pairs.iter().map(|(key, _)| key.clone()).collect(),
            Self::Shared(pairs) => pairs.iter().map(|(key, _)| key.clone()).collect(),
            Self::Json { object, schema } => match schema {
                None => object.keys().map(|key| Value::borrowed(key)).collect(),
                Some(schema) => Self::shown_keys(object, *schema),
            },
            Self::Fields(fields) => fields.names().into_iter().map(Value::borrowed).collect(),
        }
    }

    /// Returns a key with its value, if there is one.
    pub(crate) fn first(&self) -> Option<(Value<'a>, Value<'a>)> {
        let key = match self {
            Self::Borrowed(pairs) => pairs.iter().next()?.0.clone(),
            Self::Shared(pairs) => pairs.iter().next()?.0.clone(),
            _ => self.keys().into_iter().next()?,
        };
        let value = self.find(&key)?.ok()?;
        Some((key, value))
    }

    /// Inserts what is not there yet, in place if nobody else has the map.
    pub(crate) fn inserted(self, key: Value<'a>, value: Value<'a>) -> Result<Map<'a>, Error> {
        if self.find(&key).is_some() {
            return Err(Error::Argument(format!("insert failed: key {key} already exists")));
        }
        let mut pairs = match self {
            Self::Shared(pairs) => pairs,
            map => {
                let mut pairs = Pairs::default();
                for key in map.keys() {
                    if let Some(value) = map.find(&key) {
                        pairs.insert(key, value?);
                    }
                }
                Arc::new(pairs)
            }
        };
        Arc::make_mut(&mut pairs).insert(key, value);
        Ok(Self::Shared(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_across_numeric_types() {
        let mut pairs = Pairs::default();
        for number in 0..20 {
            pairs.insert(Value::Int(number), Value::Int(number * 10));
        }
        pairs.insert(Value::Uint(3), Value::Bool(true));
        pairs.insert(Value::Int(4), Value::Null);
        assert!(matches!(pairs.find(&Value::Double(3.0)), Some(Value::Int(30))));
        assert!(matches!(pairs.find(&Value::Uint(3)), Some(Value::Bool(true))));
        assert!(matches!(pairs.find(&Value::Uint(5)), Some(Value::Int(50))));
        assert!(matches!(pairs.find(&Value::Int(4)), Some(Value::Null)));
        assert!(pairs.find(&Value::Double(3.5)).is_none());
        assert!(pairs.find(&Value::borrowed("3")).is_none());
        pairs.remove(&Value::Int(0));
        assert!(matches!(pairs.find(&Value::Int(19)), Some(Value::Int(190))));
        assert_eq!(pairs.len(), 20);
    }
}
