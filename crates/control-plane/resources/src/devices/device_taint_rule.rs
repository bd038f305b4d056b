//! DeviceTaintRule: a taint on devices, by which they are kept free or freed.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::time;
use windlass_machinery::tree::{child, put, set};

use crate::columns::{self, since, word};
use crate::{Moment, Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("resource.k8s.io", "v1", "DeviceTaintRule", "devicetaintrules")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
        .counts_generations()
        .columns(columns::list(&["Name", "Key", "Value", "Effect", "TimeAdded", "Age"]))
        .strategy(DeviceTaintRule)
}

struct DeviceTaintRule;

impl Strategy for DeviceTaintRule {
    fn prepare_create(&self, object: &mut Value, moment: Moment) {
        set(child(child(object, "spec"), "taint"), "timeAdded", time::rfc3339(moment.now));
    }

    /// The time tells since when the effect holds, unless the client says something else.
    fn prepare_update(&self, object: &mut Value, old: &Value, moment: Moment) {
        let same = |object: &Value, field: &str| {
            let pointer = format!("/spec/taint/{field}");
            object.pointer(&pointer) == old.pointer(&pointer)
        };
        let taint = |object| child(child(object, "spec"), "taint");
        if object.pointer("/spec/taint/timeAdded").is_none_or(Value::is_null)
            || (!same(object, "effect") && same(object, "timeAdded"))
        {
            put(taint(object), "timeAdded", time::rfc3339(moment.now));
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let added = object.pointer("/spec/taint/timeAdded").filter(|at| !at.is_null());
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/taint/key")),
            Value::from(word(object, "/spec/taint/value")),
            Value::from(word(object, "/spec/taint/effect")),
            Value::from(added.map_or(String::new(), |at| since(Some(at), now))),
            columns::age(object, now),
        ]
    }
}
