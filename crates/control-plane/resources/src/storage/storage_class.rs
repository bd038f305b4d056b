//! StorageClass: a kind of storage that can be claimed.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{set, text};

use crate::columns::{self, word};
use crate::{Resource, Strategy};

const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "StorageClass", "storageclasses")
        .short_names(&["sc"])
        .columns(columns::list(&[
            "Name",
            "Provisioner",
            "ReclaimPolicy",
            "VolumeBindingMode",
            "AllowVolumeExpansion",
            "Age",
        ]))
        .strategy(StorageClass)
}

struct StorageClass;

impl Strategy for StorageClass {
    fn set_defaults(&self, object: &mut Value) {
        set(object, "reclaimPolicy", "Delete");
        set(object, "volumeBindingMode", "Immediate");
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut name = word(object, "/metadata/name").to_owned();
        let annotations = object.pointer("/metadata/annotations").unwrap_or(&Value::Null);
        if DEFAULT_ANNOTATIONS.iter().any(|annotation| text(annotations, annotation) == "true") {
            name.push_str(" (default)");
        }
        let or = |field: &str, absent: &str| match text(object, field) {
            "" => Value::from(absent),
            value => Value::from(value),
        };
        vec![
            Value::from(name),
            Value::from(text(object, "provisioner")),
            or("reclaimPolicy", "Delete"),
            or("volumeBindingMode", "Immediate"),
            Value::from(object.get("allowVolumeExpansion").and_then(Value::as_bool).unwrap_or(false)),
            columns::age(object, now),
        ]
    }
}
