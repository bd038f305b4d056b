//! VolumeAttachment: a volume that is to be attached to a node.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;

use crate::columns::{self, word};
use crate::core::persistent_volume::set_volume_spec_defaults;
use crate::core::persistent_volume_validation::validate_inline_volume;
use crate::pod_spec::validation::csi_driver_name;
use crate::rules::{at, complain, driver_name, map_at, object_at, unchanged};
use crate::{Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    let mut table = columns::list(&["Name", "Attacher", "PV", "Node", "Attached:boolean", "Age"]);
    // Upstream marks the attacher as a name, too.
    table[1].format = "name".into();
    Resource::cluster("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .columns(table)
        .updates_need_version()
        .strategy(VolumeAttachment)
}

struct VolumeAttachment;

impl Strategy for VolumeAttachment {
    fn set_defaults(&self, object: &mut Value) {
        if let Some(spec) = object.pointer_mut("/spec/source/inlineVolumeSpec").filter(|spec| spec.is_object()) {
            set_volume_spec_defaults(spec);
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_rest(object);
        driver_name(&mut errors, word(object, "/spec/attacher"), &Path::new("spec").child("attacher"));
        errors
    }

    /// Where the specification has changed, the rules that are declared with the API's types say only that.
    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, spec) = (Errors::new(), Path::new("spec"));
        csi_driver_name(&mut errors, word(object, "/spec/attacher"), &spec.child("attacher"));
        errors.extend(validate_rest(object));
        unchanged(&mut errors, &spec, object.get("spec"), old.get("spec"));
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_volume_status(&mut errors, object.get("status").unwrap_or(&Value::Null));
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/attacher")),
            Value::from(word(object, "/spec/source/persistentVolumeName")),
            Value::from(word(object, "/spec/nodeName")),
            Value::from(object.pointer("/status/attached").and_then(Value::as_bool).unwrap_or(false)),
            columns::age(object, now),
        ]
    }
}

const EXACTLY_ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
const MOST_METADATA_BYTES: usize = 256 * 1024;
const LONGEST_MESSAGE: usize = 1024;

fn validate_rest(object: &Value) -> Errors {
    let (mut errors, root) = (Errors::new(), Path::new("spec"));
    let path = root.child("source");
    let null = Value::Null;
    let source = object.pointer("/spec/source").unwrap_or(&null);
    let volume = at(source, "persistentVolumeName").and_then(Value::as_str);
    match (object_at(source, "inlineVolumeSpec"), volume) {
        (None, None) => errors.push(Error::required(&path, EXACTLY_ONE)),
        (Some(_), Some(_)) => errors.push(Error::forbidden(&path, EXACTLY_ONE)),
        (None, Some("")) => {
            let detail = "must specify non empty persistentVolumeName";
            errors.push(Error::required(&path.child("persistentVolumeName"), detail));
        }
        (None, Some(_)) => {}
        (Some(spec), None) => validate_inline_volume(&mut errors, spec, &path.child("inlineVolumeSpec")),
    }
    let node = word(object, "/spec/nodeName");
    complain(&mut errors, &root.child("nodeName"), node, names::dns1123_subdomain(node));
    validate_volume_status(&mut errors, object.get("status").unwrap_or(&null));
    if let Some(volume) = volume {
        complain(&mut errors, &path.child("persistentVolumeName"), volume, names::dns1123_subdomain(volume));
    }
    errors
}

fn validate_volume_status(errors: &mut Errors, status: &Value) {
    let path = Path::new("status");
    let metadata = map_at(status, "attachmentMetadata").into_iter().flatten();
    let size: usize = metadata.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MOST_METADATA_BYTES {
        errors.push(Error::too_long(&path.child("attachmentMetadata"), MOST_METADATA_BYTES));
    }
    for field in ["attachError", "detachError"] {
        let Some(error) = object_at(status, field) else { continue };
        let path = path.child(field);
        if word(error, "/message").len() > LONGEST_MESSAGE {
            errors.push(Error::too_long(&path.child("message"), LONGEST_MESSAGE));
        }
        if let Some(code) = at(error, "errorCode").and_then(Value::as_i64).filter(|code| *code < 0) {
            let detail = "must be between 0 and 2147483647, inclusive";
            errors.push(Error::invalid(&path.child("errorCode"), code, detail));
        }
    }
}
