//! IngressClass: which controller an Ingress is for.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{set, text};

use crate::columns::{self, word};
use crate::rules::{self, IMMUTABLE, at, complain, domain_prefixed_path, object_at};
use crate::{Resource, Strategy};

const LONGEST_CONTROLLER: usize = 250;
const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

pub(crate) fn resource() -> Resource {
    Resource::cluster("networking.k8s.io", "v1", "IngressClass", "ingressclasses")
        .counts_generations()
        .columns(columns::list(&["Name", "Controller", "Parameters", "Age"]))
        .strategy(IngressClass)
}

struct IngressClass;

impl Strategy for IngressClass {
    fn set_defaults(&self, object: &mut Value) {
        if let Some(parameters) = object.pointer_mut("/spec/parameters").filter(|parameters| parameters.is_object()) {
            set(parameters, "scope", "Cluster");
        }
    }

    fn validate(&self, object: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let controller = text(spec, "controller");
        if controller.len() > LONGEST_CONTROLLER {
            errors.push(Error::too_long(&path.child("controller"), LONGEST_CONTROLLER));
        }
        domain_prefixed_path(&mut errors, &path.child("controller"), controller);
        if let Some(parameters) = object_at(spec, "parameters") {
            validate_parameters(&mut errors, parameters, &path.child("parameters"));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let (mut errors, path) = (Errors::new(), Path::new("spec"));
        let (new, before) = (word(object, "/spec/controller"), word(old, "/spec/controller"));
        if new != before {
            errors.push(Error::invalid(&path.child("controller"), new, IMMUTABLE));
        }
        errors.extend(self.validate(object));
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut name = word(object, "/metadata/name").to_owned();
        if object.pointer("/metadata/annotations").is_some_and(|a| text(a, DEFAULT_ANNOTATION) == "true") {
            name.push_str(" (default)");
        }
        let parameters = object.pointer("/spec/parameters").filter(|parameters| parameters.is_object());
        let parameters = parameters.map_or("<none>".to_owned(), |p| {
            let dot = if p.get("apiGroup").is_some_and(Value::is_string) { "." } else { "" };
            format!("{}{dot}{}/{}", text(p, "kind"), text(p, "apiGroup"), text(p, "name"))
        });
        vec![
            Value::from(name),
            Value::from(word(object, "/spec/controller")),
            Value::from(parameters),
            columns::age(object, now),
        ]
    }
}

fn validate_parameters(errors: &mut Errors, parameters: &Value, path: &Path<'_>) {
    rules::optional(errors, parameters, path, "apiGroup", names::dns1123_subdomain);
    for field in ["kind", "name"] {
        let value = text(parameters, field);
        complain(errors, &path.child(field), value, names::path_segment(value));
    }
    let namespace = at(parameters, "namespace").and_then(Value::as_str);
    match (text(parameters, "scope"), namespace) {
        ("Namespace", None) => {
            errors.push(Error::required(&path.child("namespace"), "`parameters.scope` is set to 'Namespace'"));
        }
        ("Namespace", Some(namespace)) => {
            complain(errors, &path.child("namespace"), namespace, names::dns1123_label(namespace));
        }
        ("Cluster", Some(_)) => {
            errors.push(Error::forbidden(&path.child("namespace"), "`parameters.scope` is set to 'Cluster'"));
        }
        ("Cluster", None) => {}
        (scope, _) => errors.push(Error::not_supported(&path.child("scope"), scope, &["Cluster", "Namespace"])),
    }
    for field in ["kind", "name"] {
        rules::required(errors, parameters, path, field);
    }
}
