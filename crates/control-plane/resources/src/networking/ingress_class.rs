//! IngressClass: which controller an Ingress is for.

use jiff::Timestamp;
use serde_json::Value;
use windlass_machinery::tree::{set, text};

use crate::columns::{self, word};
use crate::{Resource, Strategy};

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
