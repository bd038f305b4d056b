//! DeviceClass: a kind of devices that can be claimed.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns;
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("resource.k8s.io", "v1", "DeviceClass", "deviceclasses")
        .counts_generations()
        .columns(columns::list(&["Name", "Age"]))
        .strategy(DeviceClass)
}

struct DeviceClass;

impl Strategy for DeviceClass {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), columns::age(object, now)]
    }
}
