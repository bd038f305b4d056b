//! Whether an object has what its scale is about where its definition says.
//!
//! Source: apiextensions-apiserver `registry/customresource/validator.go`, apimachinery `unstructured/helpers.go`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::go;

use crate::definition::Scale;

pub(super) fn validate_spec(errors: &mut Errors, scale: &Scale, object: &Value) {
    validate_count(errors, &scale.spec_replicas_path, object);
}

pub(super) fn validate_status(errors: &mut Errors, scale: &Scale, object: &Value) {
    validate_count(errors, &scale.status_replicas_path, object);
    let Some(path) = &scale.label_selector_path else { return };
    let problem = match find(object, path) {
        Ok(None | Some(Value::String(_))) => return,
        Ok(Some(other)) => wrong_type(path, other, "string"),
        Err(problem) => problem,
    };
    errors.push(Error::invalid(&Path::new(path), "", problem));
}

fn validate_count(errors: &mut Errors, path: &str, object: &Value) {
    let (count, problem) = match find(object, path) {
        Ok(None) => return,
        Ok(Some(found)) => match found.as_i64() {
            Some(0..=0x7fff_ffff) => return,
            Some(count @ ..0) => (count, "should be a non-negative integer".to_owned()),
            Some(count) => (count, format!("should be less than or equal to {}", i32::MAX)),
            None => (0, wrong_type(path, found, "int64")),
        },
        Err(problem) => (0, problem),
    };
    errors.push(Error::invalid(&Path::new(path), count, problem));
}

/// What a path of names leads to, if it does; why it cannot, where something on the way is no object.
fn find<'a>(object: &'a Value, path: &str) -> Result<Option<&'a Value>, String> {
    let mut found = object;
    let mut way = String::new();
    for name in path.trim_start_matches('.').split('.') {
        way.push('.');
        way.push_str(name);
        let Some(map) = found.as_object() else {
            return Err(wrong_type(&way, found, "map[string]interface{}"));
        };
        match map.get(name) {
            Some(value) => found = value,
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

fn wrong_type(way: &str, found: &Value, wanted: &str) -> String {
    let (shown, kind) = (go::print(found), go::any_type(found));
    format!("{way} accessor error: {shown} is of the type {kind}, expected {wanted}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_scale_needs() {
        let scale = Scale {
            spec_replicas_path: ".spec.lives".to_owned(),
            status_replicas_path: ".status.lives".to_owned(),
            label_selector_path: Some(".status.selector".to_owned()),
        };
        let problems = |object: Value| {
            let mut errors = Errors::new();
            validate_spec(&mut errors, &scale, &object);
            validate_status(&mut errors, &scale, &object);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(problems(json!({"spec": {"lives": 9}, "status": {"selector": "a=b"}})).is_empty());
        let cases = [
            (json!({"spec": {"lives": -1}}), ".spec.lives: Invalid value: -1: should be a non-negative integer"),
            (
                json!({"status": {"lives": 3_000_000_000_u64}}),
                ".status.lives: Invalid value: 3000000000: should be less than or equal to 2147483647",
            ),
            (
                json!({"spec": {"lives": "x"}}),
                ".spec.lives: Invalid value: 0: .spec.lives accessor error: x is of the type string, expected int64",
            ),
            (
                json!({"spec": []}),
                ".spec.lives: Invalid value: 0: .spec.lives accessor error: [] is of the type []interface {}, expected \
                 map[string]interface{}",
            ),
            (
                json!({"status": {"selector": 1}}),
                ".status.selector: Invalid value: \"\": .status.selector accessor error: 1 is of the type int64, expected string",
            ),
        ];
        for (object, expected) in cases {
            assert_eq!(problems(object.clone()), [expected], "{object}");
        }
    }
}
