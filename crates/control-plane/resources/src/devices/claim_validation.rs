//! What is wrong with a claim on devices, in a ResourceClaim as in a template.
//!
//! Source: upstream `pkg/apis/resource/validation/validation.go`, and the rules declared in `k8s.io/api/resource/v1/types.go`.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use windlass_api::field::{Error, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use super::complaints::Complaints;
use super::configuration_validation::{CONFIGURATIONS_MAX, validate_configuration};
use super::request_validation::validate_request;
use crate::rules::{at, complain};

const REQUESTS_MAX: usize = 32;
const CONSTRAINTS_MAX: usize = 32;
const DOMAIN_BYTES_MAX: usize = 63;
const IDENTIFIER_BYTES_MAX: usize = 32;
const NO_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

pub(super) fn validate_claim(found: &mut Complaints, devices: &Value, path: &Path<'_>) {
    let known = RequestNames::of(devices);
    if found.is_within(devices, path, "requests", REQUESTS_MAX) {
        found.unique(devices, path, "requests", |request| text(request, "name"));
        let path = path.child("requests");
        for (index, request) in items(devices, "requests").enumerate() {
            validate_request(found, request, &path.index(index));
        }
    }
    if found.is_within(devices, path, "constraints", CONSTRAINTS_MAX) {
        let path = path.child("constraints");
        for (index, constraint) in items(devices, "constraints").enumerate() {
            validate_constraint(found, constraint, &path.index(index), &known);
        }
    }
    if found.is_within(devices, path, "config", CONFIGURATIONS_MAX) {
        let path = path.child("config");
        for (index, config) in items(devices, "config").enumerate() {
            let path = path.index(index);
            validate_references(found, config, &path, &known);
            validate_configuration(found, config, &path, true);
        }
    }
}

/// The requests of a claim, each with its alternatives.
struct RequestNames<'a>(HashMap<&'a str, HashSet<&'a str>>);

impl<'a> RequestNames<'a> {
    fn of(devices: &'a Value) -> Self {
        let named = |request: &'a Value| {
            let alternatives = items(request, "firstAvailable").map(|alternative| text(alternative, "name"));
            (text(request, "name"), alternatives.collect())
        };
        Self(items(devices, "requests").map(named).collect())
    }

    fn has(&self, reference: &str) -> bool {
        match reference.split_once('/') {
            None => self.0.contains_key(reference),
            Some((request, alternative)) => self.0.get(request).is_some_and(|known| known.contains(alternative)),
        }
    }
}

/// The requests that a constraint or a configuration is about.
fn validate_references(found: &mut Complaints, owner: &Value, path: &Path<'_>, known: &RequestNames<'_>) {
    if !found.is_within(owner, path, "requests", REQUESTS_MAX) {
        return;
    }
    found.unique(owner, path, "requests", |name| name.as_str().unwrap_or_default());
    let path = path.child("requests");
    for (index, name) in items(owner, "requests").filter_map(Value::as_str).enumerate() {
        let path = path.index(index);
        let parts: Vec<&str> = name.splitn(3, '/').collect();
        if parts.len() <= 2 {
            for part in parts {
                complain(&mut found.coded, &path, part, names::dns1123_label(part));
            }
        }
        if !known.has(name) {
            found.coded.push(Error::invalid(&path, name, NO_REQUEST));
        }
    }
}

fn validate_constraint(found: &mut Complaints, constraint: &Value, path: &Path<'_>, known: &RequestNames<'_>) {
    validate_references(found, constraint, path, known);
    let attributes = ["matchAttribute", "distinctAttribute"];
    if attributes.iter().all(|field| at(constraint, field).is_none()) {
        let detail =
            "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
        found.coded.push(Error::required(path, detail));
    }
    for field in attributes {
        if let Some(name) = at(constraint, field).and_then(Value::as_str) {
            validate_attribute_name(found, name, &path.child(field));
        }
    }
}

/// `example.com/attribute`
fn validate_attribute_name(found: &mut Complaints, name: &str, path: &Path<'_>) {
    let errors = &mut found.declared;
    let parts: Vec<&str> = name.splitn(3, '/').collect();
    let identifier = match parts[..] {
        [identifier] => Some(identifier),
        [domain, identifier] => {
            if domain.is_empty() {
                errors.push(Error::invalid(path, "", "prefix must not be empty"));
            } else {
                if domain.len() > DOMAIN_BYTES_MAX {
                    errors.push(Error::too_long(path, DOMAIN_BYTES_MAX));
                }
                let problems = names::long_name(domain, false).into_iter().map(|problem| format!("prefix: {problem}"));
                complain(errors, path, domain, problems.collect());
            }
            if identifier.is_empty() {
                errors.push(Error::invalid(path, "", "name must not be empty"));
            }
            Some(identifier).filter(|identifier| !identifier.is_empty())
        }
        // Upstream does not look at names with more slashes.
        _ => None,
    };
    if let Some(identifier) = identifier {
        if identifier.len() > IDENTIFIER_BYTES_MAX {
            errors.push(Error::too_long(path, IDENTIFIER_BYTES_MAX));
        }
        complain(errors, path, identifier, names::c_identifier(identifier));
    }
    if parts.len() == 1 {
        errors.push(Error::invalid(
            path,
            name,
            "a fully qualified name must be a domain and a name separated by a slash",
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints(devices: Value) -> Vec<String> {
        let mut found = Complaints::default();
        validate_claim(&mut found, &devices, &Path::new("devices"));
        found.all().iter().map(ToString::to_string).collect()
    }

    /// A request that is well but for one part.
    fn exactly(more: Value) -> Value {
        let mut request = json!({"deviceClassName": "c", "allocationMode": "ExactCount", "count": 1});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"requests": [{"name": "r", "exactly": request}]})
    }

    #[test]
    fn what_upstream_says() {
        let constrained = |constraint: Value| {
            json!({"requests": [{"name": "r", "firstAvailable": [{"name": "a",
            "deviceClassName": "c", "allocationMode": "All"}]}], "constraints": [constraint]})
        };
        let cases = [
            (exactly(json!({})), vec![]),
            (exactly(json!({"allocationMode": "All", "count": 0})), vec![]),
            (
                exactly(json!({"allocationMode": "All", "count": 2})),
                vec![
                    "devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
                ],
            ),
            (
                exactly(json!({"allocationMode": "Most", "selectors": [{}]})),
                vec![
                    "devices.requests[0].exactly.selectors[0].cel: Required value",
                    "devices.requests[0].exactly.allocationMode: Unsupported value: \"Most\": supported values: \"All\", \"ExactCount\"",
                ],
            ),
            (
                exactly(json!({"tolerations": [{"operator": "Exists", "value": "v", "effect": "No"}]})),
                vec![
                    "devices.requests[0].exactly.tolerations[0].value: Invalid value: \"v\": must be empty for operator `Exists`",
                    "devices.requests[0].exactly.tolerations[0].effect: Unsupported value: \"No\": supported values: \"NoExecute\", \"NoSchedule\", \"None\"",
                ],
            ),
            (
                json!({"requests": vec![json!({}); 33]}),
                vec!["devices.requests: Too many: 33: must have at most 32 items"],
            ),
            (constrained(json!({"requests": ["r/a"], "matchAttribute": "d.e/f"})), vec![]),
            (
                constrained(json!({"requests": ["r/b"], "distinctAttribute": "/f"})),
                vec![
                    "devices.constraints[0].requests[0]: Invalid value: \"r/b\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
                    "devices.constraints[0].distinctAttribute: Invalid value: \"\": prefix must not be empty",
                ],
            ),
            (
                constrained(json!({"requests": ["r/a/b"], "matchAttribute": "a/b/c"})),
                vec![
                    "devices.constraints[0].requests[0]: Invalid value: \"r/a/b\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
                ],
            ),
        ];
        for (devices, expected) in cases {
            assert_eq!(complaints(devices.clone()), expected, "{devices}");
        }
    }
}
