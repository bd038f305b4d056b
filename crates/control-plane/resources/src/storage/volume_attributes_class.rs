//! VolumeAttributesClass: attributes of a volume that can be changed while it is used.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};

use super::validation::{validate_driver, validate_parameters};
use crate::columns::{self, word};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses")
        .short_names(&["vac"])
        .columns(columns::list(&["Name", "DriverName", "Age"]))
        .strategy(VolumeAttributesClass)
}

struct VolumeAttributesClass;

impl Strategy for VolumeAttributesClass {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_driver(&mut errors, object, "driverName");
        if word(object, "/driverName").is_empty() {
            errors.push(Error::required(&Path::new("driverName"), ""));
        }
        validate_parameters(&mut errors, object, false);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        for field in ["driverName", "parameters"] {
            if object.get(field) != old.get(field) {
                errors.push(Error::forbidden(&Path::new(field), format!("updates to {field} are forbidden.")));
            }
        }
        errors.extend(self.validate(object));
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(word(object, "/driverName")), columns::age(object, now)]
    }
}
