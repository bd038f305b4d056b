//! CSIStorageCapacity: how much room a storage driver has in a part of the cluster.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, word};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities")
        .columns(columns::list(&["Name", "StorageClassName", "Capacity"]))
        .strategy(CsiStorageCapacity)
}

struct CsiStorageCapacity;

impl Strategy for CsiStorageCapacity {
    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let capacity = object.get("capacity").and_then(Value::as_str).unwrap_or("<unset>");
        vec![columns::name(object), Value::from(word(object, "/storageClassName")), Value::from(capacity)]
    }
}
