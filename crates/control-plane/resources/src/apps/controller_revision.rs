//! ControllerRevision: what a DaemonSet or StatefulSet was at some time.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::GroupVersion;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, number, text};

use crate::columns;
use crate::rules::{immutable, non_negative};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("apps", "v1", "ControllerRevision", "controllerrevisions")
        .columns(columns::list(&["Name", "Controller", "Revision", "Age"]))
        .strategy(ControllerRevision)
}

struct ControllerRevision;

impl Strategy for ControllerRevision {
    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_number(object);
        let path = Path::new("data");
        match object.get("data") {
            None | Some(Value::Null) => errors.push(Error::required(&path, "data is mandatory")),
            Some(Value::Object(_)) => {}
            Some(_) => errors.push(Error::required(&path, "data must be a valid JSON object")),
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = validate_number(object);
        immutable(&mut errors, &Path::new("data"), object.get("data"), old.get("data"));
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

fn validate_number(object: &Value) -> Errors {
    let mut errors = Errors::new();
    non_negative(&mut errors, &Path::new("revision"), number(object, "revision"));
    errors
}
