//! What lists are merged by.

use std::sync::Arc;

use super::{ListType, Schema, escape};

/// What tells the elements of a list apart.
#[derive(Clone, Debug)]
pub enum MergeKey {
    /// Elements are themselves the keys.
    Value,
    /// These fields, by their escaped names.
    Fields(Arc<[String]>),
}

impl MergeKey {
    /// Returns the key of a list that merges.
    pub(crate) fn of(schema: &dyn Schema) -> Option<Self> {
        match schema.list_type()? {
            ListType::Atomic => None,
            ListType::Set => Some(Self::Value),
            ListType::Map => {
                let names = schema.list_map_keys();
                let fields = names.into_iter().map(|name| escape(name).unwrap_or_else(|| name.to_owned()));
                Some(Self::Fields(fields.collect()))
            }
        }
    }
}
