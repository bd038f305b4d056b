//! Secret: confidential data for pods and components. On the disk it is encrypted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value};
use windlass_api::field::{Error, Errors, Path, complaints};
use windlass_api::names;
use windlass_api::well_known::annotation;

use super::config_map::{DATA_BYTES_MAX, immutable};
use crate::columns::{self, Column};
use crate::{Moment, Resource, Strategy};
use windlass_machinery::tree::{child, remove, set_text, text};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Secret", "secrets")
        .selectable(&[("type", "/type")])
        .columns(vec![
            Column::name(),
            Column::string("Type", "What the secret is for; it decides which keys must be there."),
            Column::string("Data", "How many keys the object has."),
            Column::age(),
        ])
        .strategy(Secret)
}

struct Secret;

impl Strategy for Secret {
    fn set_defaults(&self, object: &mut Value) {
        set_text(object, "type", "Opaque");
        // stringData is for writing only: it goes into data, and wins over it.
        if let Some(Value::Object(texts)) = remove(object, "stringData") {
            let data = child(object, "data");
            for (key, value) in texts {
                data[key] = Value::from(BASE64.encode(value.as_str().unwrap_or_default()));
            }
        }
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        // Upstream lets a client that does not know the type leave it out.
        if text(object, "type") == "Opaque" && object.get("type").is_none() {
            object["type"] = old["type"].clone();
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let empty = Map::new();
        let data = object.get("data").and_then(Value::as_object).unwrap_or(&empty);
        let path = Path::new("data");
        let mut errors = Errors::new();
        let mut size = 0;
        for (key, value) in data {
            errors.extend(complaints(&path.key(key), key, names::config_map_key(key)));
            size += decoded(value).len();
        }
        if size > DATA_BYTES_MAX {
            errors.push(Error::too_long(&path, DATA_BYTES_MAX));
        }
        errors.extend(of_type(object, data));
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        if text(object, "type") != text(old, "type") {
            errors.push(Error::invalid(&Path::new("type"), text(object, "type"), "field is immutable"));
        }
        errors.extend(immutable(object, old, &["data"]));
        errors.extend(self.validate(object));
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let keys = object.get("data").and_then(Value::as_object).map_or(0, Map::len);
        vec![columns::name(object), Value::from(text(object, "type")), Value::from(keys), columns::age(object, now)]
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

/// What each well-known type demands of the data.
fn of_type(object: &Value, data: &Map<String, Value>) -> Errors {
    let path = Path::new("data");
    let missing = |keys: &[&str]| -> Errors {
        keys.iter().filter(|key| !data.contains_key(**key)).map(|key| Error::required(&path.key(key), "")).collect()
    };
    match text(object, "type") {
        "kubernetes.io/service-account-token" => {
            let metadata = Path::new("metadata");
            let name =
                object.pointer("/metadata/annotations").map_or("", |a| text(a, annotation::SERVICE_ACCOUNT_NAME));
            if name.is_empty() {
                let annotations = metadata.child("annotations");
                return Error::required(&annotations.key(annotation::SERVICE_ACCOUNT_NAME), "").into();
            }
            Errors::new()
        }
        "kubernetes.io/dockercfg" => json_in(data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json_in(data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !data.contains_key("username") && !data.contains_key("password") => {
            missing(&["username", "password"])
        }
        "kubernetes.io/ssh-auth" if data.get("ssh-privatekey").is_none_or(|v| decoded(v).is_empty()) => {
            Error::required(&path.key("ssh-privatekey"), "").into()
        }
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        _ => Errors::new(),
    }
}

fn json_in(data: &Map<String, Value>, key: &str) -> Errors {
    let path = Path::new("data");
    match data.get(key) {
        None => Error::required(&path.key(key), "").into(),
        Some(value) => match serde_json::from_slice::<Value>(&decoded(value)) {
            Ok(_) => Errors::new(),
            Err(error) => Error::invalid(&path.key(key), "<secret contents redacted>", error.to_string()).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_becomes_data() {
        let mut secret = json!({"data": {"a": "eA=="}, "stringData": {"a": "y", "b": "z"}});
        Secret.set_defaults(&mut secret);
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "eQ==", "b": "eg=="}}));
    }

    #[test]
    fn types_demand_their_keys() {
        let problems =
            |secret: Value| -> Vec<String> { Secret.validate(&secret).iter().map(ToString::to_string).collect() };
        assert_eq!(
            problems(json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}})),
            ["data[tls.key]: Required value"]
        );
        assert_eq!(
            problems(json!({"type": "kubernetes.io/service-account-token"})),
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"]
        );
        let bad = problems(json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "eA=="}}));
        assert!(
            bad[0].starts_with("data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\""),
            "{bad:?}"
        );
        assert!(problems(json!({"type": "mine", "data": {}})).is_empty());
    }
}
