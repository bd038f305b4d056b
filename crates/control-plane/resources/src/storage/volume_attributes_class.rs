//! VolumeAttributesClass: attributes of a volume that can be changed while it is used.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, word};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses")
        .short_names(&["vac"])
        .columns(columns::list(&["Name", "DriverName", "Age"]))
        .strategy(VolumeAttributesClass)
}

struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(word(object, "/driverName")), columns::age(object, now)]
    }
}
