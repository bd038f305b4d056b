//! The namespace that expressions see.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::{GroupResource, Status};

use crate::review::{Cluster, Review};

/// The namespace that a write is in; `None` for what is in none, and for namespaces themselves.
pub(crate) fn namespace_of(review: &Review<'_>, cluster: &dyn Cluster) -> Result<Option<Arc<Value>>, Status> {
    let is_namespace = review.kind.group.is_empty() && review.kind.kind == "Namespace";
    if review.namespace.is_empty() || is_namespace {
        return Ok(None);
    }
    let resource = GroupResource::of("", "namespaces");
    let namespace = cluster.object("namespaces", "", review.namespace);
    namespace.map(Some).ok_or_else(|| Status::not_found(&resource, review.namespace))
}
