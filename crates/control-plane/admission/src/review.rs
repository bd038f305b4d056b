//! What a plugin is asked about.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::{GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::{Attributes, User};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// As it stands in admission reviews.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One write.
pub struct Review<'a> {
    pub operation: Operation,
    pub kind: &'a GroupVersionKind,
    pub resource: &'a GroupVersionResource,
    /// Empty for the object itself.
    pub subresource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub user: &'a User,
    /// The object as it will be; `None` for deletions. Its defaults are set.
    pub object: Option<&'a mut Value>,
    /// The object as it is; `None` for creations.
    pub old: Option<&'a Value>,
    pub dry_run: bool,
    /// Where the client is told something although the write goes on.
    pub warnings: &'a dyn Warnings,
}

/// What takes words for the client beside the answer.
pub trait Warnings: Send + Sync {
    fn warn(&self, text: String);
}

impl Review<'_> {
    /// The refusal of a plugin, about the object at hand.
    pub(crate) fn forbidden(&self, why: impl std::fmt::Display) -> Status {
        let said = |field: &str| {
            let metadata = self.object.as_deref().map(|object| &object["metadata"]);
            metadata.and_then(|metadata| metadata[field].as_str()).filter(|name| !name.is_empty())
        };
        // A name that is to be generated comes only after admission.
        let name =
            Some(self.name).filter(|name| !name.is_empty()).or_else(|| said("name")).or_else(|| said("generateName"));
        Status::forbidden(&self.resource.group_resource(), name.unwrap_or("Unknown"), why)
    }

    /// Whether this is about `resource` of `group` itself, not a subresource.
    pub fn is_of(&self, group: &str, resource: &str) -> bool {
        self.subresource.is_empty() && self.resource.group == group && self.resource.resource == resource
    }
}

/// The rest of the cluster, as the store has it at this moment.
pub trait Cluster: Send + Sync {
    /// An object by the name of its table (`pods`, `leases.coordination.k8s.io`).
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// The objects of a namespace, or with an empty one of the cluster.
    fn objects(&self, table: &str, namespace: &str) -> Vec<Arc<Value>>;
    /// Whether there are any, without reading them.
    fn has_objects(&self, table: &str, namespace: &str) -> bool;
    /// Whether authorization allows something else to the user.
    fn may(&self, attributes: &Attributes<'_>) -> bool;
}
