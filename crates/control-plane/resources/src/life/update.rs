//! The life of a changed object: PUT, PATCH and apply, of the object or of a subresource that is a part of it.

use serde_json::Value;
use windlass_api::Status;
use windlass_machinery::tree::{child, keep};

use super::{
    AFTER_ADMISSION, COMPLETED_WEIGHT_MAX, Checkpoints, RECEIVED_WEIGHT_MAX, Write, bound, deduplicate_owners,
};
use crate::{Subresource, metadata};

/// Takes the object that a client wants in place of `old` through all steps; returns it as it is to be stored, in the served
/// version. Both are whole objects, also where the request is for a subresource.
pub async fn update<C: Checkpoints>(
    write: Write<'_>,
    mut new: Value,
    old: &Value,
    checkpoints: &C,
) -> Result<Value, Status> {
    let Write { resource, subresource, .. } = write;
    bound(&new, RECEIVED_WEIGHT_MAX)?;
    resource.strategy.set_defaults(&mut new);
    bound(&new, COMPLETED_WEIGHT_MAX)?;
    deduplicate_owners(&mut new, "", checkpoints);
    checkpoints.record_ownership(&mut new, Some(old));
    checkpoints.admit(&mut new, Some(old)).await?;
    bound(&new, COMPLETED_WEIGHT_MAX)?;
    deduplicate_owners(&mut new, AFTER_ADMISSION, checkpoints);
    checkpoints.guard(&new, Some(old))?;
    prepare(write, &mut new, old);
    let mut errors = metadata::validate_update(&new, old, resource);
    errors.extend(match subresource {
        None => resource.strategy.validate_update(&new, old),
        Some(Subresource::Status) => resource.strategy.validate_status_at(&new, old, write.moment),
        Some(subresource) => resource.strategy.validate_subresource(subresource, &new, old),
    });
    resource.strategy.validate_rules(&new, Some(old), &mut errors);
    if errors.is_empty() && subresource.is_none() {
        errors.extend(checkpoints.unreadable(&new, Some(old)));
    }
    if errors.is_empty()
        && subresource == Some(Subresource::Status)
        && let Some(signer) = resource.strategy.signs(&new, old)
    {
        errors.extend(checkpoints.unsigned(signer));
    }
    write.invalid_unless_empty(old, &errors)?;
    if subresource.is_none() {
        resource.strategy.warnings(&new, Some(old)).into_iter().for_each(|text| checkpoints.warn(text));
    }
    checkpoints.review(&mut new, Some(old)).await?;
    Ok(new)
}

/// Whether the body of a request for the subresource is the whole object, of which the subresource takes its part.
pub fn takes_whole_object(subresource: Subresource) -> bool {
    use Subresource::{Approval, EphemeralContainers, Finalize, Resize, Status};
    matches!(subresource, Status | EphemeralContainers | Resize | Approval | Finalize)
}

/// Puts back what this request may not change.
fn prepare(write: Write<'_>, new: &mut Value, old: &Value) {
    let Write { resource, subresource, moment, .. } = write;
    let strategy = &resource.strategy;
    match subresource {
        None => {
            if resource.has(Subresource::Status) {
                keep(new, old, "status");
            }
            strategy.prepare_update(new, old, moment);
        }
        Some(Subresource::Status) => {
            // A status update takes the status, and lets of the metadata through what upstream does.
            let sent = std::mem::replace(new, old.clone());
            keep(new, &sent, "status");
            keep(new, &sent, "metadata");
            metadata::reset_for_status(new, old, resource.status_metadata);
            strategy.prepare_status(new, old, moment);
        }
        Some(part) if takes_whole_object(part) => {
            let sent = std::mem::replace(new, old.clone());
            keep(child(new, "metadata"), &sent["metadata"], "managedFields");
            strategy.prepare_subresource(part, new, &sent, moment);
        }
        // The subresource has a kind of its own, whose endpoint has taken from the client only what it is about.
        Some(_) => {}
    }
    metadata::prepare_update(new, old);
    if subresource != Some(Subresource::Status) {
        metadata::count_generation(new, old, resource);
    }
}
