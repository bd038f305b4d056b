//! FlowSchema: which requests belong to which priority level.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::condition;
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::{child, number, put};

use super::validation::{validate_conditions, validate_flow_schema};
use super::{defaults, mandatory};
use crate::columns::{self, count, or_none, word};
use crate::first::{Beginnings, First};
use crate::{Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas")
        .subresources(&[Subresource::Status])
        .status_metadata(StatusMetadata::Nothing)
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
    fn first(&self, _beginnings: &Beginnings) -> Vec<First> {
        defaults::of_kind("FlowSchema")
    }

    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        if number(spec, "matchingPrecedence") == 0 {
            put(spec, "matchingPrecedence", 1000);
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        let (name, path) = (word(object, "/metadata/name"), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        validate_flow_schema(&mut errors, name, spec, &path);
        mandatory::validate_flow_schema(&mut errors, name, spec, &path);
        validate_conditions(&mut errors, object);
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_conditions(&mut errors, object);
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let dangling = condition::status_of(condition::list(&object["status"]), "Dangling");
        vec![
            columns::name(object),
            Value::from(word(object, "/spec/priorityLevelConfiguration/name")),
            Value::from(count(object, "/spec/matchingPrecedence")),
            or_none(Some(word(object, "/spec/distinguisherMethod/type"))),
            columns::age(object, now),
            Value::from(dangling.unwrap_or("?")),
        ]
    }
}
