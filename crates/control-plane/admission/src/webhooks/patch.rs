//! What a webhook's JSON patch makes of an object.

use serde_json::Value;
use windlass_api::{GroupVersionKind, Status};
use windlass_machinery::rfc6902;
use windlass_machinery::tree::{child, keep};

use crate::request::with_type;
use crate::review::Cluster;

/// The patched object, read anew as one of its kind. Who manages its fields is not for the webhook to say.
pub(super) fn patched(
    object: &Value,
    kind: &GroupVersionKind,
    patch: &Value,
    cluster: &dyn Cluster,
) -> Result<Value, Status> {
    let mut new = with_type(object.clone(), kind);
    rfc6902::apply(&mut new, patch).map_err(Status::internal)?;
    let mut new = cluster.decode(kind, new)?;
    keep(child(&mut new, "metadata"), &object["metadata"], "managedFields");
    Ok(new)
}
