//! The forms of a custom resource: in which one its objects are stored, and what a webhook is asked that converts between them.
//!
//! What a webhook returns is held against what it was given: of an object's metadata, it may change labels and annotations alone.
//!
//! Source: upstream apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go`.

use serde::Serialize;
use serde_json::{Map, Value, json};
use windlass_api::field::{Errors, Path};
use windlass_api::text::aggregate;
use windlass_machinery::go;
use windlass_machinery::json::type_meta_prefix;
use windlass_machinery::tree::{put, remove, text};

use super::{Definition, Webhook};
use crate::rules;

const GROUP: &str = "apiextensions.k8s.io";
const KIND: &str = "ConversionReview";

/// In which form objects are stored, and how they come from one form into another.
#[derive(Clone, Debug)]
pub struct Forms {
    /// The definition's name.
    pub definition: String,
    /// `group/version` of the stored form.
    pub stored_version: String,
    /// What the JSON of stored objects begins with.
    pub stored_prefix: Vec<u8>,
    /// Who converts; `None` where forms differ in their names alone.
    pub webhook: Option<Webhook>,
}

impl Forms {
    pub(crate) fn of(definition: &Definition) -> Self {
        let spec = &definition.spec;
        let version = spec.versions.iter().find(|version| version.storage);
        let version = version.map(|version| version.name.as_str()).unwrap_or_default();
        let stored_version = format!("{}/{version}", spec.group);
        Self {
            definition: definition.metadata.name.clone(),
            stored_prefix: type_meta_prefix(&stored_version, &definition.status.accepted_names.kind),
            stored_version,
            webhook: spec.conversion.webhook().cloned(),
        }
    }
}

/// A question to a webhook, in the first of the versions that both sides know.
#[derive(Debug)]
pub struct ConversionReview {
    version: String,
    uid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    kind: &'a str,
    api_version: String,
    request: Request<'a>,
}

#[derive(Serialize)]
struct Request<'a> {
    uid: &'a str,
    #[serde(rename = "desiredAPIVersion")]
    wanted: &'a str,
    objects: &'a [Value],
}

impl ConversionReview {
    /// `None` when the webhook knows no version of reviews that this program knows.
    pub fn new(webhook: &Webhook, uid: String) -> Option<Self> {
        let known =
            webhook.conversion_review_versions.iter().find(|version| ["v1", "v1beta1"].contains(&version.as_str()));
        Some(Self { version: known?.clone(), uid })
    }

    /// The body: objects with their types, and the `group/version` in which they are wanted.
    pub fn request(&self, objects: &[Value], wanted: &str) -> serde_json::Result<Vec<u8>> {
        let request = Request { uid: &self.uid, wanted, objects };
        serde_json::to_vec(&Body { kind: KIND, api_version: format!("{GROUP}/{}", self.version), request })
    }

    /// The objects of an answer; why there are none, otherwise.
    pub fn objects(&self, mut answer: Value) -> Result<Vec<Value>, String> {
        if self.version == "v1" {
            let (version, kind) = (text(&answer, "apiVersion"), text(&answer, "kind"));
            if version != format!("{GROUP}/v1") || kind != KIND {
                return Err(format!(
                    "expected webhook response of {GROUP}/v1, Kind={KIND}, got {version}, Kind={kind}"
                ));
            }
        }
        let response = &mut answer["response"];
        if !response.is_object() {
            return Err("no response provided".to_owned());
        }
        let uid = text(response, "uid");
        if self.version == "v1" && uid != self.uid {
            return Err(format!("expected response.uid={:?}, got {uid:?}", self.uid));
        }
        let (status, message) = (text(&response["result"], "status"), text(&response["result"], "message"));
        if status != "Success" {
            let unsaid = || format!("response.result.status was '{status}', not 'Success'");
            return Err(if message.is_empty() { unsaid() } else { message.to_owned() });
        }
        match response["convertedObjects"].take() {
            Value::Array(objects) => Ok(objects),
            _ => Ok(Vec::new()),
        }
    }
}

/// Why a converted object is not what it was.
#[derive(Debug, PartialEq, Eq)]
pub enum Deviation {
    /// The object is another one, or of another type.
    Object(String),
    Metadata(String),
}

/// Takes the metadata of the original over into the converted object, but for labels and annotations.
pub fn accept(original: &Value, mut converted: Value, wanted: &str) -> Result<Value, Deviation> {
    let object_error = |why: String| Err(Deviation::Object(why));
    let found = text(&converted, "apiVersion");
    if found != wanted {
        return object_error(format!("invalid groupVersion (expected {wanted}, received {found})"));
    }
    let (expected, found) = (text(original, "kind"), text(&converted, "kind"));
    if expected != found {
        return object_error(format!("invalid kind (expected {expected}, received {found})"));
    }
    for (field, called) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (expected, found) = (text(&original["metadata"], field), text(&converted["metadata"], field));
        if expected != found {
            return object_error(format!("must have the same {called}: {expected} != {found}"));
        }
    }
    let returned = match remove(&mut converted, "metadata") {
        None => return Err(Deviation::Metadata("missing metadata in converted object".to_owned())),
        Some(Value::Object(returned)) => returned,
        Some(other) => {
            let kind = go::any_type(&other);
            return Err(Deviation::Metadata(format!("invalid metadata of type {kind} in converted object")));
        }
    };
    let mut kept = original["metadata"].clone();
    for field in ["labels", "annotations"] {
        restore(&mut kept, &returned, field).map_err(Deviation::Metadata)?;
    }
    put(&mut converted, "metadata", kept);
    Ok(converted)
}

/// Takes a map of strings over, which must be valid when it has changed.
fn restore(kept: &mut Value, returned: &Map<String, Value>, field: &str) -> Result<(), String> {
    let map = match returned.get(field) {
        None | Some(Value::Null) => {
            remove(kept, field);
            return Ok(());
        }
        Some(Value::Object(map)) => map,
        Some(other) => {
            return Err(format!("invalid metadata.{field} of type {} in converted object", go::any_type(other)));
        }
    };
    if let Some((key, value)) = map.iter().find(|(_, value)| !value.is_string()) {
        let kind = go::any_type(value);
        return Err(format!("metadata.{field}[{key}] must be a string, but is {kind} in converted object"));
    }
    if kept.get(field).and_then(Value::as_object) != Some(map) {
        let mut errors = Errors::new();
        rules::labels_and_annotations(&mut errors, &json!({field: map}), &Path::new("metadata"));
        if !errors.is_empty() {
            return Err(aggregate(&errors));
        }
    }
    put(kept, field, map.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review() -> ConversionReview {
        let webhook =
            Webhook { conversion_review_versions: vec!["v9".to_owned(), "v1".to_owned()], ..Webhook::default() };
        ConversionReview::new(&webhook, "u".to_owned()).unwrap()
    }

    #[test]
    fn answers() {
        let answer = |response: Value| {
            review().objects(json!({"kind": KIND, "apiVersion": "apiextensions.k8s.io/v1", "response": response}))
        };
        let success = json!({"uid": "u", "result": {"status": "Success"}, "convertedObjects": [{"a": 1}]});
        assert_eq!(answer(success).unwrap(), [json!({"a": 1})]);
        let cases = [
            (Value::Null, "no response provided"),
            (json!({"uid": "v"}), "expected response.uid=\"u\", got \"v\""),
            (json!({"uid": "u"}), "response.result.status was '', not 'Success'"),
            (json!({"uid": "u", "result": {"status": "Failure", "message": "no"}}), "no"),
        ];
        for (response, why) in cases {
            assert_eq!(answer(response).unwrap_err(), why);
        }
        let other = review().objects(json!({"kind": "Pod", "apiVersion": "v1"})).unwrap_err();
        let why = "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got v1, Kind=Pod";
        assert_eq!(other, why);
    }

    #[test]
    fn what_a_webhook_may_change() {
        let original = json!({"kind": "Cat", "apiVersion": "x/v1", "metadata": {"name": "tom", "uid": "1", "generation": 3, "labels": {"a": "b"}}, "spec": 1});
        let returned = |metadata: Value| json!({"kind": "Cat", "apiVersion": "x/v2", "metadata": metadata, "spec": 2});
        let metadata = json!({"name": "tom", "uid": "1", "generation": 9, "annotations": {"c": "d"}});
        let accepted = accept(&original, returned(metadata), "x/v2").unwrap();
        let kept = json!({"name": "tom", "uid": "1", "generation": 3, "annotations": {"c": "d"}});
        assert_eq!(accepted, returned(kept));
        let own = |more: Value| {
            let mut metadata = json!({"name": "tom", "uid": "1"});
            metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            returned(metadata)
        };
        let object = |why: &str| Deviation::Object(why.to_owned());
        let of_metadata = |why: &str| Deviation::Metadata(why.to_owned());
        let cases = [
            (returned(json!({"name": "jerry", "uid": "1"})), object("must have the same name: tom != jerry")),
            (returned(json!({"name": "tom"})), object("must have the same UID: 1 != ")),
            (
                json!({"kind": "Cat", "apiVersion": "x/v1"}),
                object("invalid groupVersion (expected x/v2, received x/v1)"),
            ),
            (json!({"kind": "Dog", "apiVersion": "x/v2"}), object("invalid kind (expected Cat, received Dog)")),
            (
                own(json!({"labels": []})),
                of_metadata("invalid metadata.labels of type []interface {} in converted object"),
            ),
            (
                own(json!({"labels": {"a": 1}})),
                of_metadata("metadata.labels[a] must be a string, but is int64 in converted object"),
            ),
        ];
        for (converted, expected) in cases {
            assert_eq!(accept(&original, converted, "x/v2").unwrap_err(), expected);
        }
        let bad = accept(&original, own(json!({"labels": {"a": "b c"}})), "x/v2").unwrap_err();
        assert!(
            matches!(&bad, Deviation::Metadata(why) if why.starts_with("metadata.labels: Invalid value: \"b c\"")),
            "{bad:?}"
        );
    }
}
