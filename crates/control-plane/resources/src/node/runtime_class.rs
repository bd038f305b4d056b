//! RuntimeClass: which container runtime a pod is run with.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{self, word};
use crate::quantities::round_up;
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")
        .creates_on_update()
        .columns(columns::list(&["Name", "Handler", "Age"]))
        .strategy(RuntimeClass)
}

struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn set_defaults(&self, object: &mut Value) {
        round_up(object.pointer_mut("/overhead/podFixed"));
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(word(object, "/handler")), columns::age(object, now)]
    }
}
