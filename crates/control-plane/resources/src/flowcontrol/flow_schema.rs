//! FlowSchema: which requests belong to which priority level.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{child, items, number, put, text};

use crate::columns::{self, count, or_none, word};
use crate::{Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas")
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(columns::list(&[
            "Name",
            "PriorityLevel",
            "MatchingPrecedence",
            "DistinguisherMethod",
            "Age",
            "MissingPL",
        ]))
        .strategy(FlowSchema)
}

struct FlowSchema;

impl Strategy for FlowSchema {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        if number(spec, "matchingPrecedence") == 0 {
            put(spec, "matchingPrecedence", 1000);
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let dangling = items(&object["status"], "conditions").find(|c| text(c, "type") == "Dangling");
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/priorityLevelConfiguration/name")),
            Value::from(count(object, "/spec/matchingPrecedence")),
            or_none(Some(word(object, "/spec/distinguisherMethod/type"))),
            columns::age(object, now),
            Value::from(dangling.map_or("?", |c| text(c, "status"))),
        ]
    }
}
