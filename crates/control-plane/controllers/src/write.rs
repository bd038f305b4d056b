//! Changes to objects, as updates of what the cache shows, and their deletion. Controllers' roles let most of them update and not patch.

use serde_json::{Value, json};
use windlass_api::{GroupVersionResource, ObjectKey, Status};
use windlass_client::{Client, DeleteOptions, Informer, Object, Subresource};
use windlass_machinery::rfc7386;

/// Changes an object as a merge patch (RFC 7386) says, and waits until the cache shows it. `None` when it is gone, or no longer the
/// one whose UID the patch names; a conflict when it is not at the `resourceVersion` that the patch names, or has changed since the
/// cache saw it.
pub(crate) async fn modify(
    client: &Client,
    informer: &Informer,
    resource: &GroupVersionResource,
    key: &ObjectKey,
    subresource: Subresource,
    patch: &Value,
) -> Result<Option<Object>, Status> {
    let Some(current) = informer.get(key) else { return Ok(None) };
    let mut object: Value = current.decode()?;
    let uid = &patch["metadata"]["uid"];
    if !uid.is_null() && *uid != object["metadata"]["uid"] {
        return Ok(None);
    }
    object["metadata"]["resourceVersion"] = json!(current.revision.to_string());
    rfc7386::merge(&mut object, patch);
    match client.update(resource, key, subresource, &object).await {
        Ok(written) => {
            informer.reached(written.revision).await;
            Ok(Some(written))
        }
        Err(status) if status.is_not_found() => Ok(None),
        Err(status) => Err(status),
    }
}

/// Deletes an object; one that is gone already, or replaced by another one of its name, is fine.
pub(crate) async fn delete(
    client: &Client,
    resource: &GroupVersionResource,
    key: &ObjectKey,
    options: &DeleteOptions,
) -> Result<(), Status> {
    match client.delete(resource, key, options).await {
        Err(status) if !status.says_gone() => Err(status),
        _ => Ok(()),
    }
}
