//! Conditions as most kinds have them (`metav1.Condition`).
//!
//! Source: apimachinery `pkg/apis/meta/v1/validation`.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, number, text};

use crate::rules::{label_name, required_of};

const REASON_BYTES_MAX: usize = 1024;
const MESSAGE_BYTES_MAX: usize = 32 * 1024;

/// Validates the `conditions` of a status.
pub(crate) fn validate(errors: &mut Errors, status: &Value, path: &Path<'_>) {
    let mut seen = BTreeSet::new();
    for (index, condition) in items(status, "conditions").enumerate() {
        let path = path.index(index);
        let kind = text(condition, "type");
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&path, kind));
        }
        if kind.is_empty() {
            errors.push(Error::required(&path.child("type"), "is required"));
        } else {
            label_name(errors, &path.child("type"), kind);
        }
        required_of(errors, &path.child("status"), text(condition, "status"), &["False", "True", "Unknown"]);
        let generation = number(condition, "observedGeneration");
        if generation < 0 {
            let detail = "must be greater than or equal to zero";
            errors.push(Error::invalid(&path.child("observedGeneration"), generation, detail));
        }
        if text(condition, "lastTransitionTime").is_empty() {
            errors.push(Error::required(&path.child("lastTransitionTime"), ""));
        }
        validate_reason(errors, text(condition, "reason"), &path.child("reason"));
        if text(condition, "message").len() > MESSAGE_BYTES_MAX {
            errors.push(Error::too_long(&path.child("message"), MESSAGE_BYTES_MAX));
        }
    }
}

fn validate_reason(errors: &mut Errors, reason: &str, path: &Path<'_>) {
    const DETAIL: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')";
    if reason.is_empty() {
        errors.push(Error::required(path, ""));
        return;
    }
    let is_word = |b: u8| b == b'_' || b.is_ascii_alphanumeric();
    let bytes = reason.as_bytes();
    let fits = bytes[0].is_ascii_alphabetic()
        && bytes.iter().all(|b| is_word(*b) || matches!(b, b',' | b':'))
        && is_word(bytes[bytes.len() - 1]);
    if !fits {
        errors.push(Error::invalid(path, reason, DETAIL));
    }
    if reason.len() > REASON_BYTES_MAX {
        errors.push(Error::too_long(path, REASON_BYTES_MAX));
    }
}
