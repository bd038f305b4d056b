//! ConfigMap: plain data for pods.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path, complaints};
use windlass_api::k8s::api::core::v1::ConfigMap as Typed;
use windlass_api::names;

use crate::columns::{self, Column};
use crate::first::{Beginnings, First};
use crate::{Resource, Strategy};
use windlass_api::well_known::namespace;
use windlass_machinery::tree::view;

/// The data of a ConfigMap or Secret may not be larger.
pub(crate) const DATA_BYTES_MAX: usize = 1024 * 1024;

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "ConfigMap", "configmaps")
        .short_names(&["cm"])
        .columns(vec![Column::name(), Column::string("Data", "How many keys the object has."), Column::age()])
        .strategy(ConfigMap)
}

struct ConfigMap;

impl Strategy for ConfigMap {
    /// How servers that extend this one recognize its users.
    fn first(&self, beginnings: &Beginnings) -> Vec<First> {
        let object = json!({
            "metadata": {"name": "extension-apiserver-authentication", "namespace": namespace::KUBE_SYSTEM},
            "data": {
                "client-ca-file": beginnings.server.client_ca_pem,
                "requestheader-allowed-names": "[\"front-proxy-client\"]",
                "requestheader-client-ca-file": beginnings.server.front_proxy_ca_pem,
                "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
                "requestheader-group-headers": "[\"X-Remote-Group\"]",
                "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
                "requestheader-username-headers": "[\"X-Remote-User\"]",
            },
        });
        vec![First { object, status: None, follows: &["data"] }]
    }

    fn validate(&self, object: &Value) -> Errors {
        let map: Typed = match view(object) {
            Ok(map) => map,
            Err(errors) => return errors,
        };
        let mut errors = Errors::new();
        let (data, binary) = (Path::new("data"), Path::new("binaryData"));
        let binary_keys: HashSet<&String> = map.binary_data.iter().flat_map(|binary| binary.keys()).collect();
        let mut size = 0;
        for (key, value) in map.data.iter().flatten() {
            errors.extend(complaints(&data.key(key), key, names::config_map_key(key)));
            if binary_keys.contains(key) {
                errors.push(Error::invalid(&data.key(key), key.as_str(), "duplicate of key present in binaryData"));
            }
            size += value.len();
        }
        for (key, value) in map.binary_data.iter().flatten() {
            errors.extend(complaints(&binary.key(key), key, names::config_map_key(key)));
            size += value.0.len();
        }
        if size > DATA_BYTES_MAX {
            errors.push(Error::too_long(&Path::new(""), DATA_BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = immutable(object, old, &["data", "binaryData"]);
        errors.extend(self.validate(object));
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let count = |field: &str| object.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len);
        let keys = count("data") + count("binaryData");
        vec![columns::name(object), Value::from(keys), columns::age(object, now)]
    }
}

/// What an object that was declared immutable may not change: `immutable` itself, and `fields`.
pub(crate) fn immutable(object: &Value, old: &Value, fields: &[&str]) -> Errors {
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return Errors::new();
    }
    let mut errors = Errors::new();
    if object.get("immutable") != Some(&Value::Bool(true)) {
        errors.push(Error::forbidden(&Path::new("immutable"), "field is immutable when `immutable` is set"));
    }
    for field in fields {
        if object.get(*field) != old.get(*field) {
            errors.push(Error::forbidden(&Path::new(field), "field is immutable when `immutable` is set"));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn complaints_of(errors: Errors) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn validation() {
        assert!(ConfigMap.validate(&json!({"data": {"a.b": "x"}, "binaryData": {"c": ""}})).is_empty());
        let errors = complaints_of(ConfigMap.validate(&json!({"data": {"a": "", "b/c": ""}, "binaryData": {"a": ""}})));
        assert_eq!(errors[0], "data[a]: Invalid value: \"a\": duplicate of key present in binaryData");
        assert!(errors[1].starts_with("data[b/c]: Invalid value: \"b/c\": a valid config key must consist of"));
        let big = ConfigMap.validate(&json!({"data": {"a": "x".repeat(DATA_BYTES_MAX + 1)}}));
        assert_eq!(complaints_of(big), [": Too long: may not be more than 1048576 bytes"]);
    }

    #[test]
    fn immutability() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        assert!(ConfigMap.validate_update(&old, &old).is_empty());
        let errors = ConfigMap.validate_update(&json!({"data": {"a": "2"}}), &old);
        assert_eq!(
            complaints_of(errors),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
    }
}
