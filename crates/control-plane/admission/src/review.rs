//! What a plugin is asked about.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use windlass_api::{GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::{Attributes, Decision, User};
use windlass_machinery::tree::text;
use windlass_resources::Resource;
use windlass_webhook::{Answer, CallError, ClientConfig};

use crate::reinvocation::Reinvocation;

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
    /// What the client said beside the object.
    pub options: &'a dyn OperationOptions,
    /// Where the client is told something although the write goes on.
    pub warnings: &'a dyn Warnings,
    /// Whom mutating admission has asked already.
    pub reinvocation: Reinvocation,
}

/// What a client says of a write beside the object.
pub trait OperationOptions: Send + Sync {
    /// Returns the CreateOptions, UpdateOptions or DeleteOptions of `meta.k8s.io/v1`, or the options of a connection; null for none.
    fn options(&self, operation: Operation) -> Value;
}

/// Options in hand.
impl OperationOptions for Value {
    fn options(&self, _operation: Operation) -> Value {
        self.clone()
    }
}

/// What takes words for the client beside the answer.
pub trait Warnings: Send + Sync {
    fn warn(&self, text: String);

    /// Where the write is annotated for the audit log; nowhere, as long as nobody keeps one.
    fn audit(&self) -> Option<&dyn AuditAnnotations> {
        None
    }
}

/// What takes the annotations that the audit log shows with a request.
pub trait AuditAnnotations: Send + Sync {
    /// Adds an annotation. The first value of a key stays.
    fn annotate(&self, key: &str, value: String);

    /// Whether the log shows the objects of requests, and so what is done to them.
    fn keeps_objects(&self) -> bool;
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

    /// The name of the object; empty if it is to be generated.
    pub fn object_name(&self) -> &str {
        match self.name {
            "" => self.object.as_deref().map_or("", |object| text(&object["metadata"], "name")),
            name => name,
        }
    }

    /// The namespace that the write is in. A Namespace is in itself.
    pub fn object_namespace(&self) -> &str {
        if self.is_namespace() { self.object_name() } else { self.namespace }
    }

    /// Whether this is about a Namespace, or a subresource of one.
    pub fn is_namespace(&self) -> bool {
        self.resource.group.is_empty() && self.resource.resource == "namespaces"
    }

    /// Whether this is about `resource` of `group` itself, not a subresource.
    pub fn is_of(&self, group: &str, resource: &str) -> bool {
        self.subresource.is_empty() && self.resource.group == group && self.resource.resource == resource
    }
}

/// A resource that serves the same objects as another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivalent {
    pub resource: GroupVersionResource,
    /// The kind that the resource speaks, or the subresource that was asked about.
    pub kind: GroupVersionKind,
}

/// A kind that is served: the resource that serves it.
pub type Served = Arc<dyn AsRef<Resource> + Send + Sync>;

/// The rest of the cluster, as the store has it at this moment.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// An object by the name of its table (`pods`, `leases.coordination.k8s.io`).
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// The objects of a namespace, or with an empty one of the cluster.
    fn objects(&self, table: &str, namespace: &str) -> Vec<Arc<Value>>;
    /// Whether there are any, without reading them.
    fn has_objects(&self, table: &str, namespace: &str) -> bool;
    /// The revision of the last change of a table: as long as it stays the same, so do the objects.
    fn revision(&self, table: &str) -> u64;
    /// What authorization says of something else that a user might do.
    fn decide(&self, attributes: &Attributes<'_>) -> Decision;
    /// Whether authorization allows something else to the user.
    fn may(&self, attributes: &Attributes<'_>) -> bool {
        self.decide(attributes).is_allowed()
    }
    /// The other resources that serve the objects of one, in other versions or groups, and that have the subresource, too. Allocates
    /// nothing when there are none.
    fn equivalents(&self, resource: &GroupVersionResource, subresource: &str) -> Vec<Equivalent>;
    /// An object that comes from outside, as one of its kind: without what the kind does not know, and with its defaults.
    fn decode(&self, kind: &GroupVersionKind, object: Value) -> Result<Value, Status>;
    /// A uid that nobody has had.
    fn new_uid(&self) -> String;
    /// Asks a webhook.
    async fn call_webhook(&self, client: &ClientConfig, body: Bytes, timeout: Duration) -> Result<Answer, CallError>;
    /// The resource that serves a kind.
    fn served(&self, kind: &GroupVersionKind) -> Option<Served>;
    /// An object as one of a kind that is served; without a namespace where the kind has none.
    async fn object_of(&self, kind: &GroupVersionKind, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// The objects of a namespace, or with an empty one of the cluster, as those of a kind that is served.
    async fn objects_of(&self, kind: &GroupVersionKind, namespace: &str) -> Vec<Arc<Value>>;
    /// An object of one kind as one of another kind, which serves the same objects.
    async fn convert(&self, object: Value, from: &GroupVersionKind, to: &GroupVersionKind) -> Result<Value, Status>;
}
