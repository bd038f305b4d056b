//! Lists: of the program, made on the way, or of the data.

use std::sync::Arc;

use super::{JSON_DEPTH_MAX, Value};
use crate::error::Error;
use crate::schema::{MergeKey, Schema};
use crate::work;

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    Borrowed(&'a [Value<'a>]),
    Shared(Arc<Items<'a>>),
    /// Data, whose elements become values when they are asked for.
    Json {
        items: &'a [serde_json::Value],
        schema: Option<&'a dyn Schema>,
    },
    /// The sum of lists that merge by their schema.
    Merging {
        values: Arc<Items<'a>>,
        key: MergeKey,
    },
}

/// Elements that were made on the way, and how deep they nest.
#[derive(Clone, Debug, Default)]
pub struct Items<'a> {
    values: Vec<Value<'a>>,
    depth: u32,
}

impl<'a> Items<'a> {
    pub(crate) fn as_slice(&self) -> &[Value<'a>] {
        &self.values
    }

    pub(crate) fn push(&mut self, value: Value<'a>) {
        self.depth = self.depth.max(value.depth());
        self.values.push(value);
    }
}

impl<'a> FromIterator<Value<'a>> for Items<'a> {
    fn from_iter<I: IntoIterator<Item = Value<'a>>>(values: I) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        let depth = values.iter().map(Value::depth).max().unwrap_or(0);
        Self { values, depth }
    }
}

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            Self::Borrowed(values) => values.len(),
            Self::Shared(items) | Self::Merging { values: items, .. } => items.values.len(),
            Self::Json { items, .. } => items.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an element, or why the data is none.
    pub fn get(&self, index: usize) -> Option<Result<Value<'a>, Error>> {
        match self {
            Self::Borrowed(values) => values.get(index).cloned().map(Ok),
            Self::Shared(items) | Self::Merging { values: items, .. } => items.values.get(index).cloned().map(Ok),
            Self::Json { items, schema } => {
                items.get(index).map(|item| Value::from_json(item, schema.and_then(Schema::items)))
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>, Error>> {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// Returns the first element, if there is one that is a value.
    pub(crate) fn first(&self) -> Option<Value<'a>> {
        self.get(0)?.ok()
    }

    /// Returns all elements, or the first fault in the data.
    pub(crate) fn values(&self) -> Result<Vec<Value<'a>>, Error> {
        self.iter().collect()
    }

    /// Appends, in place if nobody else has the list.
    pub(crate) fn append(self, other: &List<'a>) -> Result<List<'a>, Error> {
        if other.is_empty() {
            return Ok(self);
        }
        match self {
            Self::Shared(mut values) => {
                let copied = if Arc::strong_count(&values) > 1 { values.values.len() } else { 0 };
                work::spend(copied + other.len())?;
                let grown = Arc::make_mut(&mut values);
                for value in other.iter() {
                    grown.push(value?);
                }
                Ok(Self::Shared(values))
            }
            list if list.is_empty() => Ok(Self::Shared(Arc::new(other.values()?.into_iter().collect()))),
            list => {
                work::spend(list.len() + other.len())?;
                let mut values = list.values()?;
                values.extend(other.values()?);
                Ok(Self::Shared(Arc::new(values.into_iter().collect())))
            }
        }
    }

    /// Whether the list is data with a schema, which upstream treats differently in places.
    pub(crate) fn has_schema(&self) -> bool {
        matches!(self, Self::Json { schema: Some(_), .. } | Self::Merging { .. })
    }

    pub(crate) fn depth(&self) -> u32 {
        match self {
            Self::Shared(items) | Self::Merging { values: items, .. } => items.depth,
            Self::Borrowed(values) => values.iter().map(Value::depth).max().unwrap_or(0),
            Self::Json { .. } => JSON_DEPTH_MAX,
        }
    }
}

/// Returns a number as an index into a list, or why it is none.
pub(crate) fn index_of(value: &Value<'_>) -> Result<i64, Error> {
    match value {
        Value::Int(index) => Ok(*index),
        Value::Double(index) if index.trunc() == *index && index.abs() < 9.2e18 => Ok(*index as i64),
        Value::Uint(index) if i64::try_from(*index).is_ok() => Ok(*index as i64),
        Value::Double(_) | Value::Uint(_) => Err(Error::Argument(format!("unsupported index value {value} in list"))),
        other => Err(Error::Argument(format!("unsupported index type '{}' in list", other.type_name()))),
    }
}
