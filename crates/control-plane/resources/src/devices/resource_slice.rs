//! ResourceSlice: the devices of a node or pool.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::time;
use windlass_machinery::tree::{child, items_mut, set};

use crate::columns::{self, word};
use crate::{Moment, Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("resource.k8s.io", "v1", "ResourceSlice", "resourceslices")
        .counts_generations()
        .selectable(&[("spec.nodeName", "/spec/nodeName"), ("spec.driver", "/spec/driver")])
        .columns(columns::list(&["Name", "Node", "Driver", "Pool", "Age"]))
        .strategy(ResourceSlice)
}

struct ResourceSlice;

impl Strategy for ResourceSlice {
    fn prepare_create(&self, object: &mut Value, moment: Moment) {
        set_taint_times(object, moment);
    }

    fn prepare_update(&self, object: &mut Value, _old: &Value, moment: Moment) {
        set_taint_times(object, moment);
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/nodeName")),
            Value::from(word(object, "/spec/driver")),
            Value::from(word(object, "/spec/pool/name")),
            columns::age(object, now),
        ]
    }
}

fn set_taint_times(object: &mut Value, moment: Moment) {
    for device in items_mut(child(object, "spec"), "devices") {
        for taint in items_mut(device, "taints") {
            set(taint, "timeAdded", time::rfc3339(moment.now));
        }
    }
}
