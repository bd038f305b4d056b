//! CSINode: the storage drivers of a node.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, length};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "CSINode", "csinodes")
        .subresources(&[Subresource::Status])
        .columns(columns::list(&["Name", "Drivers:integer", "Age"]))
        .strategy(CsiNode)
}

struct CsiNode;

impl Strategy for CsiNode {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(length(object, "/spec/drivers")), columns::age(object, now)]
    }
}
