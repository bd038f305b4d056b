//! Images: their names, and when they are pulled.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::text;

use crate::rules::required_of;

pub(super) fn validate_image_of_pod(errors: &mut Errors, container: &Value, path: &Path<'_>) {
    let image = text(container, "image");
    if image.len() != image.trim().len() {
        errors.push(Error::invalid(&path.child("image"), image, "must not have leading or trailing whitespace"));
    }
}

pub(super) fn validate_pull_policy(errors: &mut Errors, owner: &Value, path: &Path<'_>, field: &str) {
    required_of(errors, path, text(owner, field), &["Always", "IfNotPresent", "Never"]);
}
