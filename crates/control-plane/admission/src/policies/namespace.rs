//! The namespace that expressions see.

use serde_json::{Map, Value};
use windlass_api::{GroupResource, Status};

use crate::review::{Cluster, Review};

/// The namespace that a write is in, as expressions see it; `None` for what is in none, and for namespaces themselves.
pub(crate) fn namespace_of(review: &Review<'_>, cluster: &dyn Cluster) -> Result<Option<Value>, Status> {
    let is_namespace = review.kind.group.is_empty() && review.kind.kind == "Namespace";
    if review.namespace.is_empty() || is_namespace {
        return Ok(None);
    }
    let resource = GroupResource::of("", "namespaces");
    let namespace = cluster.object("namespaces", "", review.namespace);
    let namespace = namespace.ok_or_else(|| Status::not_found(&resource, review.namespace))?;
    Ok(Some(shown(&namespace)))
}

/// A namespace without what expressions do not see of it.
fn shown(namespace: &Value) -> Value {
    const METADATA: [&str; 12] = [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "finalizers",
    ];
    let mut shown = Map::new();
    let metadata = namespace["metadata"].as_object().into_iter().flatten();
    let metadata: Map<String, Value> = metadata
        .filter(|(field, _)| METADATA.contains(&field.as_str()))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    shown.insert("metadata".to_owned(), Value::Object(metadata));
    for part in ["spec", "status"] {
        let value = namespace.get(part).cloned().unwrap_or_else(|| Value::Object(Map::new()));
        shown.insert(part.to_owned(), value);
    }
    Value::Object(shown)
}
