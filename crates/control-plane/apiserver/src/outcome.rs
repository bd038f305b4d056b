//! What a request came to, before anybody encodes it.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::status::Reason;
use windlass_api::{GroupVersionKind, Status};
use windlass_store::Item;

use crate::registry::Served;
use crate::watcher::Watcher;

/// An object to be sent.
#[derive(Debug)]
pub enum Payload {
    /// As it is stored.
    Item(Arc<Served>, Arc<Item>),
    /// An object of the resource that is not stored: what a dry run would have come to.
    Draft(Arc<Served>, Value),
    /// A tree of another kind, or one that was made for the answer.
    Tree(GroupVersionKind, Value),
}

/// Part or all of a collection.
#[derive(Debug)]
pub struct Listed {
    pub served: Arc<Served>,
    pub items: Vec<Arc<Item>>,
    pub revision: u64,
    pub continue_token: String,
    /// How many more there are, when that is known.
    pub remaining: Option<usize>,
}

pub enum Outcome {
    Object { payload: Payload, created: bool },
    List(Listed),
    Watch(Box<Watcher>),
}

impl Outcome {
    pub(crate) fn item(served: &Arc<Served>, item: Arc<Item>) -> Self {
        Self::Object { payload: Payload::Item(served.clone(), item), created: false }
    }

    pub(crate) fn draft(served: &Arc<Served>, object: Value) -> Self {
        Self::Object { payload: Payload::Draft(served.clone(), object), created: false }
    }

    pub(crate) fn tree(kind: GroupVersionKind, tree: Value) -> Self {
        Self::Object { payload: Payload::Tree(kind, tree), created: false }
    }

    /// The same, answered with 201.
    pub(crate) fn created(self) -> Self {
        match self {
            Self::Object { payload, .. } => Self::Object { payload, created: true },
            other => other,
        }
    }

    /// A `Status` that says that something has been created.
    pub(crate) fn success_of_creation() -> Self {
        let status = serde_json::json!({"metadata": {}, "status": "Success", "code": 201});
        Self::tree(GroupVersionKind::of("", "v1", "Status"), status).created()
    }

    /// A `Status` that says that all went well with what the details name.
    pub(crate) fn success(details: Value) -> Self {
        let status = serde_json::json!({"metadata": {}, "status": "Success", "details": details});
        Self::tree(GroupVersionKind::of("", "v1", "Status"), status)
    }
}

/// The answer to a request that panicked.
pub(crate) fn panicked() -> Status {
    let text = "This request caused apiserver to panic. Look in the logs for details.";
    Status::new(500, Reason::InternalError, text)
}
