//! The life of an object that asks the server to do something, and is not stored: a Binding, an Eviction, a TokenRequest.

use serde_json::Value;
use windlass_api::Status;

use super::{COMPLETED_WEIGHT_MAX, Checkpoints, RECEIVED_WEIGHT_MAX, bound};

/// Takes a decoded object with its defaults through admission. Between mutating and validating admission `prepare` sets what the server
/// alone decides, and validates.
pub async fn ask<C: Checkpoints>(
    object: &mut Value,
    checkpoints: &C,
    prepare: impl FnOnce(&mut Value) -> Result<(), Status> + Send,
) -> Result<(), Status> {
    bound(object, RECEIVED_WEIGHT_MAX)?;
    checkpoints.admit(object, None).await?;
    bound(object, COMPLETED_WEIGHT_MAX)?;
    prepare(object)?;
    checkpoints.review(object, None).await
}
