//! What is wrong with conditions of the form that newer kinds share. Source: apimachinery `pkg/apis/meta/v1/validation`.

use std::collections::HashSet;

use serde_json::Value;
use windlass_api::condition::{self, AnyCondition, FALSE, TRUE, UNKNOWN};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{number, text};

use crate::rules::{complain, label_name, required_of};

const REASON_BYTES_MAX: usize = 1 << 10;
const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// The conditions of a status.
pub(crate) fn validate_conditions(errors: &mut Errors, status: &Value, path: &Path<'_>) {
    let path = path.child("conditions");
    let mut seen = HashSet::new();
    for (index, condition) in condition::list(status).iter().enumerate() {
        if !seen.insert(condition.kind()) {
            errors.push(Error::duplicate(&path.index(index), condition.kind()));
        }
        validate_condition(errors, condition, &path.index(index));
    }
}

fn validate_condition(errors: &mut Errors, condition: &Value, path: &Path<'_>) {
    let kind_path = path.child("type");
    if condition.kind().is_empty() {
        errors.push(Error::required(&kind_path, "is required"));
    } else {
        label_name(errors, &kind_path, condition.kind());
    }
    required_of(errors, &path.child("status"), condition.status(), &[FALSE, TRUE, UNKNOWN]);
    let generation = number(condition, "observedGeneration");
    if generation < 0 {
        let detail = "must be greater than or equal to zero";
        errors.push(Error::invalid(&path.child("observedGeneration"), generation, detail));
    }
    if text(condition, "lastTransitionTime").is_empty() {
        errors.push(Error::required(&path.child("lastTransitionTime"), ""));
    }
    let (reason, reason_path) = (text(condition, "reason"), path.child("reason"));
    if reason.is_empty() {
        errors.push(Error::required(&reason_path, ""));
    } else {
        complain(errors, &reason_path, reason, names::condition_reason(reason));
        if reason.len() > REASON_BYTES_MAX {
            errors.push(Error::too_long(&reason_path, REASON_BYTES_MAX));
        }
    }
    if text(condition, "message").len() > MESSAGE_BYTES_MAX {
        errors.push(Error::too_long(&path.child("message"), MESSAGE_BYTES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_upstream_says() {
        let well = json!({"type": "A", "status": "True", "reason": "Because:It_Is", "lastTransitionTime": "2001-02-03T04:05:06Z"});
        let with = |field: &str, value: Value| {
            let mut condition = well.clone();
            condition[field] = value;
            condition
        };
        let cases = [
            (vec![well.clone()], vec![]),
            (vec![well.clone(), well.clone()], vec!["status.conditions[1]: Duplicate value: \"A\""]),
            (vec![with("type", json!(""))], vec!["status.conditions[0].type: Required value: is required"]),
            (vec![with("status", json!(""))], vec!["status.conditions[0].status: Required value"]),
            (
                vec![with("observedGeneration", json!(-1))],
                vec![
                    "status.conditions[0].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
                ],
            ),
            (
                vec![with("reason", json!("no:"))],
                vec![
                    "status.conditions[0].reason: Invalid value: \"no:\": a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')",
                ],
            ),
            (
                vec![with("message", json!("x".repeat(40_000)))],
                vec!["status.conditions[0].message: Too long: may not be more than 32768 bytes"],
            ),
        ];
        for (conditions, expected) in cases {
            let mut errors = Errors::new();
            validate_conditions(&mut errors, &json!({"conditions": conditions}), &Path::new("status"));
            let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
    }
}
