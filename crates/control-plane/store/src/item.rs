//! One version of one object, and what happened to it.

use std::borrow::Borrow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use windlass_api::labels::Labels;
use windlass_machinery::json::Template;

/// One version of an object. Everybody who holds it shares the one allocation of its bytes.
#[derive(Debug)]
pub struct Item {
    /// Within the table: `namespace/name`, or `name`.
    pub key: Box<str>,
    /// The revision that made this version: its `resourceVersion`.
    pub revision: u64,
    /// The revision that made the object.
    pub created: u64,
    /// When the object goes away by itself: seconds since the epoch, or 0 for never.
    pub expires: i64,
    /// The object's JSON with its resourceVersion, without `kind` and `apiVersion` (unless its kind has several forms).
    pub value: Bytes,
    /// Where the digits of the resourceVersion stand in `value`.
    pub(crate) hole: u32,
    /// What selectors look at, read from the value by the first that asks.
    attributes: OnceLock<Box<Attributes>>,
}

/// Labels and selectable fields of an object, each sorted by name.
#[derive(Debug, Default)]
pub struct Attributes {
    pub labels: Box<[(Box<str>, Box<str>)]>,
    pub fields: Box<[(Box<str>, Box<str>)]>,
}

impl Attributes {
    pub fn field(&self, name: &str) -> Option<&str> {
        find(&self.fields, name)
    }
}

impl Labels for Attributes {
    fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }
}

fn find<'a>(sorted: &'a [(Box<str>, Box<str>)], name: &str) -> Option<&'a str> {
    sorted.binary_search_by(|(n, _)| (**n).cmp(name)).ok().map(|at| &*sorted[at].1)
}

impl Item {
    pub(crate) fn new(key: &str, template: &Template, revision: u64, created: u64, expires: i64) -> Self {
        let value = Bytes::from(template.at_revision(revision).into_boxed_slice());
        Self::loaded(key, revision, created, expires, value, template.hole() as u32)
    }

    pub(crate) fn loaded(key: &str, revision: u64, created: u64, expires: i64, value: Bytes, hole: u32) -> Self {
        Self { key: key.into(), revision, created, expires, value, hole, attributes: OnceLock::new() }
    }

    /// An object that is made when it is read, and of no revision.
    pub fn unstored(key: &str, value: Bytes) -> Self {
        Self::loaded(key, 0, 0, 0, value, 0)
    }

    /// The same object as it was when `revision` deleted it.
    pub(crate) fn tombstone(&self, revision: u64) -> Self {
        self.at_revision(revision)
    }

    /// The same content at another revision: what a watch shows of an object that has left its selection.
    pub fn at_revision(&self, revision: u64) -> Self {
        let hole = self.hole as usize;
        let old_digits = digits(self.revision);
        let mut value = Vec::with_capacity(self.value.len() + 1);
        value.extend_from_slice(&self.value[..hole]);
        value.extend_from_slice(revision.to_string().as_bytes());
        value.extend_from_slice(&self.value[hole + old_digits..]);
        Self::loaded(&self.key, revision, self.created, 0, Bytes::from(value.into_boxed_slice()), self.hole)
    }

    /// The same version of the object in another form.
    pub fn in_form(&self, template: &Template) -> Self {
        Self::new(&self.key, template, self.revision, self.created, self.expires)
    }

    /// What selectors look at; `read` is called once in the item's life.
    pub fn attributes(&self, read: impl FnOnce(&Self) -> Attributes) -> &Attributes {
        self.attributes.get_or_init(|| Box::new(read(self)))
    }

    /// The namespace in the key; empty for a cluster-wide object.
    pub fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    pub fn name(&self) -> &str {
        self.key.split_once('/').map_or(&*self.key, |(_, name)| name)
    }
}

pub(crate) fn digits(revision: u64) -> usize {
    revision.checked_ilog10().unwrap_or(0) as usize + 1
}

/// An item in an ordered set, found by its key.
#[derive(Clone, Debug)]
pub(crate) struct Keyed(pub(crate) Arc<Item>);

impl PartialEq for Keyed {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Keyed {}

impl PartialOrd for Keyed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.key.cmp(&other.0.key)
    }
}

impl Borrow<str> for Keyed {
    fn borrow(&self) -> &str {
        &self.0.key
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
}

impl EventKind {
    /// As a watch stream names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// A change of an object, as watches see it.
#[derive(Debug)]
pub struct Event {
    pub kind: EventKind,
    /// The new version; for a deletion, the last one with the revision of the deletion.
    pub item: Arc<Item>,
    /// The version before; a watch with a selector needs it to tell that an object has left or joined.
    pub before: Option<Arc<Item>>,
    /// Wire forms of the event, kept by whoever encodes it first so that a thousand watchers share one encoding. What stands in which
    /// place is the API server's affair.
    pub frames: [OnceLock<Bytes>; 2],
}

impl Event {
    pub(crate) fn new(kind: EventKind, item: Arc<Item>, before: Option<Arc<Item>>) -> Self {
        Self { kind, item, before, frames: [const { OnceLock::new() }; 2] }
    }

    pub fn revision(&self) -> u64 {
        self.item.revision
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tombstone_carries_the_revision_of_the_deletion() {
        let template = Template::new(&json!({"metadata": {"name": "a"}, "spec": {}}));
        let item = Item::new("ns/a", &template, 99, 99, 0);
        let gone = item.tombstone(1000);
        assert_eq!(&*gone.value, br#"{"metadata":{"name":"a","resourceVersion":"1000"},"spec":{}}"#);
        assert_eq!((gone.revision, gone.created), (1000, 99));
        assert_eq!((item.namespace(), item.name()), ("ns", "a"));
        assert_eq!(Item::new("n", &template, 1, 1, 0).namespace(), "");
    }

    #[test]
    fn counts_digits() {
        for (revision, count) in [(0, 1), (9, 1), (10, 2), (u64::MAX, 20)] {
            assert_eq!(digits(revision), count);
        }
    }
}
