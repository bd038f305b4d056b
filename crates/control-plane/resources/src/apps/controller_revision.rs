//! ControllerRevision: what a DaemonSet or StatefulSet was at some time.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::GroupVersion;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, number, text};

use crate::columns;
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "ControllerRevision", "controllerrevisions")
        .columns(columns::list(&["Name", "Controller", "Revision", "Age"]))
        .strategy(ControllerRevision)
}

struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        if object.get("data").is_none_or(Value::is_null) {
            errors.push(Error::required(&Path::new("data"), "data is mandatory"));
        }
        if number(object, "revision") < 0 {
            let revision = number(object, "revision");
            errors.push(Error::invalid(&Path::new("revision"), revision, "must be greater than or equal to 0"));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        if object.get("data") != old.get("data") {
            let data = object.get("data").cloned().unwrap_or_default();
            errors.push(Error::invalid(&Path::new("data"), data, "field is immutable"));
        }
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let controller = items(&object["metadata"], "ownerReferences").find(|owner| owner["controller"] == true);
        let controller = controller.map_or("<none>".to_owned(), |owner| {
            let group =
                GroupVersion::parse(text(owner, "apiVersion")).map(|gv| gv.group.to_string()).unwrap_or_default();
            let dot = if group.is_empty() { "" } else { "." };
            format!("{}{dot}{group}/{}", text(owner, "kind").to_lowercase(), text(owner, "name"))
        });
        vec![
            columns::name(object),
            Value::from(controller),
            Value::from(number(object, "revision")),
            columns::age(object, now),
        ]
    }
}
