//! APIService: who serves an API group's version.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::time;
use windlass_machinery::tree::{child, items, keep, put, set, text};

use crate::columns;
use crate::{Moment, Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("apiregistration.k8s.io", "v1", "APIService", "apiservices")
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
        .columns(columns::list(&["Name", "Service", "Available", "Age"]))
        .strategy(ApiService)
}

struct ApiService;

impl Strategy for ApiService {
    fn set_defaults(&self, object: &mut Value) {
        if let Some(service) = object.pointer_mut("/spec/service").filter(|service| service.is_object()) {
            set(service, "port", 443);
        }
    }

    /// What this server serves itself is there at once.
    fn prepare_create(&self, object: &mut Value, moment: Moment) {
        if object.pointer("/spec/service").is_none_or(Value::is_null) {
            let condition = json!({"type": "Available", "status": "True", "reason": "Local",
                "message": "Local APIServices are always available", "lastTransitionTime": time::rfc3339(moment.now)});
            put(child(object, "status"), "conditions", json!([condition]));
        }
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, _moment: Moment) {
        for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
            keep(child(object, "metadata"), &old["metadata"], field);
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let service = object.pointer("/spec/service").filter(|service| service.is_object());
        let service = service.map_or("Local".to_owned(), |s| format!("{}/{}", text(s, "namespace"), text(s, "name")));
        let available = items(&object["status"], "conditions").find(|c| text(c, "type") == "Available");
        let available = available.map_or("Unknown".to_owned(), |c| match (text(c, "status"), text(c, "reason")) {
            ("True", _) => "True".to_owned(),
            (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        });
        vec![columns::name(object), Value::from(service), Value::from(available), columns::age(object, now)]
    }
}
