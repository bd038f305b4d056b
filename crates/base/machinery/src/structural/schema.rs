//! A schema as it is used: immutable, and without room for what it does not say.

use serde_json::{Map, Value};

use super::formats::Format;
use super::kind::Kind;
use super::pattern::Pattern;

/// A structural schema, or one of the value validations that stand below `allOf`, `anyOf`, `oneOf` and `not`.
///
/// A node takes some 70 bytes and its rules are allocated only where there are any, so that thousands of definitions cost little.
#[derive(Debug, Default)]
pub struct Structural {
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
    /// `x-kubernetes-embedded-resource`.
    pub(super) is_embedded: bool,
    /// Whether there are sets or maps among the lists here and below, and whether there are embedded resources. Most schemas have
    /// none, and then nobody looks for them in the objects.
    pub(super) holds_lists: bool,
    pub(super) holds_embedded: bool,
    /// `additionalProperties: false`.
    pub(super) is_closed: bool,
    /// Sorted by name.
    pub(super) properties: Box<[(Box<str>, Structural)]>,
    /// The schema of properties that `properties` does not name.
    pub(super) additional: Option<Box<Structural>>,
    pub(super) items: Option<Box<Structural>>,
    pub(super) default: Option<Box<Value>>,
    pub(super) list: Option<Box<ListType>>,
    pub(super) rules: Option<Box<Rules>>,
}

impl Structural {
    pub(super) fn property(&self, name: &str) -> Option<&Self> {
        let place = self.properties.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&self.properties[place].1)
    }

    /// The schema of a field, be it a named property or an additional one.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        self.property(name).or(self.additional.as_deref())
    }

    /// The keys of a list of type `map`; `None` for other lists.
    pub(super) fn list_keys(&self) -> Option<&[Box<str>]> {
        match self.list.as_deref() {
            Some(ListType::Map(keys)) => Some(keys),
            _ => None,
        }
    }
}

/// The fields of an object in the order of their names, in which errors are reported; upstream's order is a map's, which is any.
pub(super) fn sorted(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    // The map itself is sorted, unless somebody turns on serde_json's `preserve_order`.
    let mut fields: Vec<_> = map.iter().collect();
    if !fields.is_sorted_by_key(|(name, _)| *name) {
        fields.sort_unstable_by_key(|(name, _)| *name);
    }
    fields.into_iter()
}

/// `x-kubernetes-list-type`, where it says something about the items.
#[derive(Debug)]
pub(super) enum ListType {
    Set,
    /// With `x-kubernetes-list-map-keys`.
    Map(Box<[Box<str>]>),
}

/// What a value must fulfil beyond its type.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) format: Option<Box<Format>>,
    pub(super) text: Option<Box<TextRules>>,
    pub(super) number: Option<Box<NumberRules>>,
    pub(super) size: Option<Box<SizeRules>>,
    pub(super) logic: Option<Box<Logic>>,
    /// `enum`.
    pub(super) allowed: Box<[Value]>,
    pub(super) required: Box<[Box<str>]>,
}

#[derive(Debug, Default)]
pub(super) struct TextRules {
    pub(super) max_length: Option<i64>,
    pub(super) min_length: Option<i64>,
    pub(super) pattern: Option<Pattern>,
}

#[derive(Debug, Default)]
pub(super) struct NumberRules {
    pub(super) multiple_of: Option<f64>,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) excludes_minimum: bool,
    pub(super) excludes_maximum: bool,
}

#[derive(Debug, Default)]
pub(super) struct SizeRules {
    pub(super) min_items: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) min_properties: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) unique_items: bool,
}

#[derive(Debug, Default)]
pub(super) struct Logic {
    pub(super) all_of: Box<[Structural]>,
    pub(super) any_of: Box<[Structural]>,
    pub(super) one_of: Box<[Structural]>,
    pub(super) not: Option<Structural>,
}
