//! DeviceClass: a kind of devices that can be claimed.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::items;

use super::complaints::Complaints;
use super::configuration_validation::{CONFIGURATIONS_MAX, validate_configuration};
use super::request_validation::validate_selectors;
use crate::columns;
use crate::rules::{at, complain};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("resource.k8s.io", "v1", "DeviceClass", "deviceclasses")
        .counts_generations()
        .columns(columns::list(&["Name", "Age"]))
        .strategy(DeviceClass)
}

struct DeviceClass;

impl Strategy for DeviceClass {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        validate(object, None)
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        validate(object, Some(old))
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), columns::age(object, now)]
    }
}

fn validate(class: &Value, old: Option<&Value>) -> Errors {
    let (mut found, path) = (Complaints::default(), Path::new("spec"));
    let spec = class.get("spec").unwrap_or(&Value::Null);
    let is_unchanged = |field: &str| old.is_some_and(|old| old["spec"].get(field) == spec.get(field));
    found.selectors_are_stored = is_unchanged("selectors");
    validate_selectors(&mut found, spec, &path);
    if found.is_within(spec, &path, "config", CONFIGURATIONS_MAX) {
        let is_new = !is_unchanged("config");
        let path = path.child("config");
        for (index, config) in items(spec, "config").enumerate() {
            validate_configuration(&mut found, config, &path.index(index), is_new);
        }
    }
    if let Some(name) = at(spec, "extendedResourceName").and_then(Value::as_str) {
        validate_extended_name(&mut found.declared, name, &path.child("extendedResourceName"));
    }
    found.all()
}

/// The name by which pods ask for the class as for an extended resource.
fn validate_extended_name(errors: &mut Errors, name: &str, path: &Path<'_>) {
    if !name.contains('/') {
        let detail = "a name must be a domain-prefixed path, such as 'example.com/my-prop'";
        errors.push(Error::invalid(path, name, detail));
    } else if name.contains("kubernetes.io/") {
        errors.push(Error::invalid(path, name, "must not have \"kubernetes.io/\" domain"));
    }
    if name.starts_with("requests.") {
        errors.push(Error::invalid(path, name, "must not have \"requests.\" prefix"));
    }
    complain(errors, path, name, names::qualified_name(&format!("requests.{name}")));
}
