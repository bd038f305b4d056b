//! APIService: who serves an API group's version.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::{condition, names, time};
use windlass_machinery::tree::{child, items, keep, number, put, set, text};

use crate::columns;
use crate::rules::{complain, is_true, object_at, required, supported};
use crate::{Moment, Resource, StatusMetadata, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("apiregistration.k8s.io", "v1", "APIService", "apiservices")
        .name_rule(names::path_segment)
        .status_metadata(StatusMetadata::Nothing)
        .takes_any_finalizer()
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
        .columns(columns::list(&["Name", "Service", "Available", "Age"]))
        .updates_need_version()
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

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let (group, version) = (text(spec, "group"), text(spec, "version"));
        let (name, expected) = (columns::word(object, "/metadata/name"), format!("{version}.{group}"));
        // One that is no name has got its complaint.
        if !name.is_empty() && names::path_segment(name).is_empty() && name != expected {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
            errors.push(Error::invalid(&Path::new("metadata").child("name"), name, detail));
        }
        if !group.is_empty() {
            complain(&mut errors, &path.child("group"), group, names::dns1123_subdomain(group));
        } else if version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(Error::required(&path.child("group"), detail));
        }
        complain(&mut errors, &path.child("version"), version, names::dns1035_label(version));
        for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
            let priority = number(spec, field);
            if !(1..=most).contains(&priority) {
                let detail = format!("must be positive and less than {most}");
                errors.push(Error::invalid(&path.child(field), priority, detail));
            }
        }
        validate_connection(&mut errors, spec, &path);
        errors
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let (mut errors, status) = (Errors::new(), Path::new("status"));
        let path = status.child("conditions");
        for (index, condition) in items(object.get("status").unwrap_or(&Value::Null), "conditions").enumerate() {
            let path = path.index(index);
            let value = text(condition, "status");
            supported(&mut errors, &path.child("status"), value, &["True", "False", "Unknown"]);
        }
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let service = object.pointer("/spec/service").filter(|service| service.is_object());
        let service = service.map_or("Local".to_owned(), |s| format!("{}/{}", text(s, "namespace"), text(s, "name")));
        let available = condition::find(condition::list(&object["status"]), "Available");
        let available = available.map_or("Unknown".to_owned(), |c| match (text(c, "status"), text(c, "reason")) {
            ("True", _) => "True".to_owned(),
            (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        });
        vec![columns::name(object), Value::from(service), Value::from(available), columns::age(object, now)]
    }
}

fn validate_connection(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let bundle = text(spec, "caBundle");
    let skips = is_true(spec, "insecureSkipTLSVerify");
    let Some(service) = object_at(spec, "service") else {
        if !bundle.is_empty() {
            let bytes = bundle.len() / 4 * 3 - bundle.chars().rev().take_while(|c| *c == '=').count();
            let detail = "local APIServices may not have a caBundle";
            errors.push(Error::invalid(&path.child("caBundle"), format!("{bytes} bytes"), detail));
        }
        if skips {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(Error::invalid(&path.child("insecureSkipTLSVerify"), true, detail));
        }
        return;
    };
    let service_path = path.child("service");
    required(errors, service, &service_path, "namespace");
    required(errors, service, &service_path, "name");
    let port = number(service, "port");
    let problems = names::port_number(port);
    if !problems.is_empty() {
        let detail = format!("port is not valid: {}", problems.join(", "));
        errors.push(Error::invalid(&service_path.child("port"), port, detail));
    }
    if skips && !bundle.is_empty() {
        let detail = "may not be true if caBundle is present";
        errors.push(Error::invalid(&path.child("insecureSkipTLSVerify"), true, detail));
    }
}
