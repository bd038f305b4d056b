//! PodTemplate: a pod to be made, as an object of its own.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Errors, Path};
use windlass_machinery::tree::child;

use crate::columns;
use crate::pod_spec::set_template_defaults;
use crate::pod_spec::validation::validate_template;
use crate::pod_spec::warnings;
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "PodTemplate", "podtemplates")
        .counts_generations()
        .columns(columns::list(&["Name", "Containers", "Images", "Pod Labels"]))
        .strategy(PodTemplate)
}

struct PodTemplate;

impl Strategy for PodTemplate {
    fn returns_deleted(&self) -> bool {
        true
    }

    fn set_defaults(&self, object: &mut Value) {
        set_template_defaults(child(object, "template"));
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_template(&mut errors, &object["template"], &Path::new("template"));
        errors
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        warnings::of_template(object, old, "template")
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let [names, images] = columns::containers(object.pointer("/template/spec"));
        vec![columns::name(object), names, images, columns::labels(object.pointer("/template/metadata/labels"))]
    }
}
