//! The life of a new object.

use serde_json::Value;
use windlass_api::Status;
use windlass_api::field::Errors;
use windlass_machinery::tree::{child, put, remove, text};

use super::{
    AFTER_ADMISSION, COMPLETED_WEIGHT_MAX, Checkpoints, RECEIVED_WEIGHT_MAX, Write, bound, deduplicate_owners,
};
use crate::{Subresource, metadata};

/// Takes a decoded object through all steps; returns it as it is to be stored, in the served version.
pub async fn create<C: Checkpoints>(write: Write<'_>, mut object: Value, checkpoints: &C) -> Result<Value, Status> {
    let Write { resource, moment, chance, .. } = write;
    place(&mut object, write)?;
    bound(&object, RECEIVED_WEIGHT_MAX)?;
    resource.strategy.set_defaults(&mut object);
    bound(&object, COMPLETED_WEIGHT_MAX)?;
    metadata::wipe_system_fields(&mut object);
    deduplicate_owners(&mut object, "", checkpoints);
    checkpoints.record_ownership(&mut object, None);
    checkpoints.admit(&mut object, None).await?;
    // Where it is to be stored was decided and authorized before.
    place(&mut object, write)?;
    bound(&object, COMPLETED_WEIGHT_MAX)?;
    deduplicate_owners(&mut object, AFTER_ADMISSION, checkpoints);
    checkpoints.guard(&object, None)?;
    metadata::prepare_create(&mut object, resource, moment, chance);
    if resource.strategy.names_requester() {
        resource.strategy.set_requester(&mut object, &checkpoints.requester());
    }
    if resource.has(Subresource::Status) && !resource.takes_status_on_create {
        match resource.empty_status() {
            Value::Null => drop(remove(&mut object, "status")),
            empty => put(&mut object, "status", empty),
        }
    }
    resource.strategy.prepare_create(&mut object, moment);
    let comes_last = resource.strategy.metadata_comes_last();
    let mut errors = if comes_last { Errors::new() } else { metadata::validate(&object, resource) };
    errors.extend(resource.strategy.validate(&object));
    if comes_last && errors.is_empty() {
        errors = metadata::validate(&object, resource);
    }
    resource.strategy.validate_rules(&object, None, &mut errors);
    if errors.is_empty() {
        errors.extend(checkpoints.unreadable(&object, None));
    }
    write.invalid_unless_empty(&object, &errors)?;
    resource.strategy.warnings(&object, None).into_iter().for_each(|text| checkpoints.warn(text));
    checkpoints.review(&mut object, None).await?;
    Ok(object)
}

/// Puts the object into the namespace of the request. One of a cluster-scoped kind loses the namespace that it names; many
/// published manifests name one.
fn place(object: &mut Value, write: Write<'_>) -> Result<(), Status> {
    if !write.resource.is_namespaced() {
        remove(child(object, "metadata"), "namespace");
        return Ok(());
    }
    check_namespace(object, write.namespace)?;
    put(child(object, "metadata"), "namespace", write.namespace);
    Ok(())
}

/// Refuses an object that says that it is in another namespace than the path of the request.
pub fn check_namespace(object: &Value, namespace: &str) -> Result<(), Status> {
    let said = text(&object["metadata"], "namespace");
    if said.is_empty() || said == namespace {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}
