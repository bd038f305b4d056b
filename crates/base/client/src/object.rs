//! Objects as they travel: bytes with the few facts that caches need.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use windlass_api::{ObjectKey, Status};

/// One version of an object. Cloning shares the bytes, which within the API server's process are the store's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    pub key: ObjectKey,
    pub revision: u64,
    /// JSON; `kind` and `apiVersion` may be missing.
    pub json: Bytes,
}

impl Object {
    /// Reads the fields that `T` declares and skips the rest.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Status> {
        serde_json::from_slice(&self.json)
            .map_err(|error| Status::internal(format_args!("cannot read {}: {error}", self.key)))
    }
}

/// Objects at a revision.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub items: Vec<Object>,
    pub revision: u64,
    /// Asks for the rest; empty when this is all.
    pub continue_token: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
    /// Nothing has changed up to the object's revision; only `revision` of the object means anything.
    Bookmark,
}

/// A change that a watch saw.
#[derive(Clone, Debug)]
pub struct Event {
    pub kind: EventKind,
    pub object: Object,
    /// On a bookmark: what was there when the watch began has all been sent.
    pub initial_events_end: bool,
}
