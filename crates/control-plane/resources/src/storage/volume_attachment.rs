//! VolumeAttachment: a volume that is to be attached to a node.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, word};
use crate::core::persistent_volume::set_volume_spec_defaults;
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    let mut table = columns::list(&["Name", "Attacher", "PV", "Node", "Attached:boolean", "Age"]);
    // Upstream marks the attacher as a name, too.
    table[1].format = "name".into();
    Resource::cluster("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments")
        .subresources(&[Subresource::Status])
        .columns(table)
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
