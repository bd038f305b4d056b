//! The cluster as the plugins see it that look at one write.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use windlass_api::{GroupVersionKind, GroupVersionResource, Status};
use windlass_auth::{Attributes, Decision};
use windlass_webhook::{Answer, CallError, ClientConfig};

use crate::review::{Cluster, Equivalent, Review, Served};

/// A cluster in which the namespace of a write is read once, whoever asks for it.
pub(crate) struct ReadOnce<'a> {
    cluster: &'a dyn Cluster,
    name: &'a str,
    namespace: OnceLock<Arc<Value>>,
}

impl<'a> ReadOnce<'a> {
    pub(crate) fn new(cluster: &'a dyn Cluster, review: &Review<'a>) -> Self {
        Self { cluster, name: review.namespace, namespace: OnceLock::new() }
    }
}

#[async_trait]
impl Cluster for ReadOnce<'_> {
    fn object(&self, table: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        if table != "namespaces" || name != self.name {
            return self.cluster.object(table, namespace, name);
        }
        if let Some(known) = self.namespace.get() {
            return Some(known.clone());
        }
        // One that is not there is looked for again: a plugin may wait for it.
        let found = self.cluster.object(table, namespace, name)?;
        Some(self.namespace.get_or_init(|| found).clone())
    }

    fn objects(&self, table: &str, namespace: &str) -> Vec<Arc<Value>> {
        self.cluster.objects(table, namespace)
    }

    fn has_objects(&self, table: &str, namespace: &str) -> bool {
        self.cluster.has_objects(table, namespace)
    }

    fn revision(&self, table: &str) -> u64 {
        self.cluster.revision(table)
    }

    fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        self.cluster.decide(attributes)
    }

    fn equivalents(&self, resource: &GroupVersionResource, subresource: &str) -> Vec<Equivalent> {
        self.cluster.equivalents(resource, subresource)
    }

    fn decode(&self, kind: &GroupVersionKind, object: Value) -> Result<Value, Status> {
        self.cluster.decode(kind, object)
    }

    fn new_uid(&self) -> String {
        self.cluster.new_uid()
    }

    async fn call_webhook(&self, client: &ClientConfig, body: Bytes, timeout: Duration) -> Result<Answer, CallError> {
        self.cluster.call_webhook(client, body, timeout).await
    }

    fn served(&self, kind: &GroupVersionKind) -> Option<Served> {
        self.cluster.served(kind)
    }

    async fn object_of(&self, kind: &GroupVersionKind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.cluster.object_of(kind, namespace, name).await
    }

    async fn objects_of(&self, kind: &GroupVersionKind, namespace: &str) -> Vec<Arc<Value>> {
        self.cluster.objects_of(kind, namespace).await
    }

    async fn convert(&self, object: Value, from: &GroupVersionKind, to: &GroupVersionKind) -> Result<Value, Status> {
        self.cluster.convert(object, from, to).await
    }
}
