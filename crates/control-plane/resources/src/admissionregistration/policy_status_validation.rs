//! What is wrong with the status of a ValidatingAdmissionPolicy.
//!
//! Source: upstream `pkg/apis/admissionregistration/validation/validation.go`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::structural::json_path::JsonPath;
use windlass_machinery::tree::items;

use crate::conditions::validate_conditions;
use crate::rules::required;

pub(super) fn validate_status(errors: &mut Errors, object: &Value) {
    let (status, path) = (&object["status"], Path::new("status"));
    let type_checking = path.child("typeChecking");
    let warnings_path = type_checking.child("expressionWarnings");
    for (index, warning) in items(&status["typeChecking"], "expressionWarnings").enumerate() {
        let path = warnings_path.index(index);
        required(errors, warning, &path, "warning");
        let (reference, path) = (warning["fieldRef"].as_str().unwrap_or_default().trim(), path.child("fieldRef"));
        if reference.is_empty() {
            errors.push(Error::required(&path, ""));
        } else if let Err(why) = JsonPath::parse(reference) {
            errors.push(Error::invalid(&path, reference, format!("invalid JSONPath: {why}")));
        }
    }
    validate_conditions(errors, status, &path);
}
