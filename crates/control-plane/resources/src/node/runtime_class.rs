//! RuntimeClass: which container runtime a pod is run with.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use crate::columns::{self, word};
use crate::go_form::duplicate_structure;
use crate::pod_spec::validation::resources::validate_list_of_limits;
use crate::pod_spec::validation::validate_tolerations;
use crate::pod_spec::warnings;
use crate::quantities::round_up;
use crate::rules::{NameRule, complain, labels, object_at, unchanged};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::cluster("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")
        .creates_on_update()
        .takes_any_finalizer()
        .columns(columns::list(&["Name", "Handler", "Age"]))
        .updates_need_version()
        .strategy(RuntimeClass)
}

struct RuntimeClass;

impl Strategy for RuntimeClass {
    fn set_defaults(&self, object: &mut Value) {
        round_up(object.pointer_mut("/overhead/podFixed"));
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_rest(object);
        validate_handler(&mut errors, object, names::short_name);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = validate_rest(object);
        let is_empty = word(object, "/handler").is_empty();
        if !is_empty && object.get("handler") != old.get("handler") {
            validate_handler(&mut errors, object, names::dns1123_label);
        }
        unchanged(&mut errors, &Path::new("handler"), object.get("handler"), old.get("handler"));
        if is_empty {
            validate_handler(&mut errors, object, names::dns1123_label);
        }
        errors
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let labels = object["scheduling"]["nodeSelector"].as_object().into_iter().flatten();
        let old = labels.filter_map(|(label, _)| warnings::old_label(label));
        old.map(|what| format!("scheduling.nodeSelector: {what}")).collect()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name(object), Value::from(word(object, "/handler")), columns::age(object, now)]
    }
}

/// An update that changes the handler is told so, and its name is judged by the rule in code instead of the declared one.
fn validate_handler(errors: &mut Errors, object: &Value, rule: NameRule) {
    let (handler, path) = (word(object, "/handler"), Path::new("handler"));
    if handler.is_empty() {
        errors.push(Error::required(&path, ""));
    } else {
        complain(errors, &path, handler, rule(handler));
    }
}

fn validate_rest(object: &Value) -> Errors {
    let mut errors = Errors::new();
    if let Some(overhead) = object_at(object, "overhead") {
        let limits = overhead.get("podFixed").unwrap_or(&Value::Null);
        validate_list_of_limits(&mut errors, limits, &Path::new("overhead"));
    }
    if let Some(scheduling) = object_at(object, "scheduling") {
        let root = Path::new("scheduling");
        labels(&mut errors, &root, scheduling, "nodeSelector");
        let path = root.child("tolerations");
        validate_tolerations(&mut errors, scheduling, &path);
        let mut seen = HashSet::new();
        for (index, toleration) in items(scheduling, "tolerations").enumerate() {
            if !seen.insert(["key", "operator", "value", "effect"].map(|field| text(toleration, field))) {
                errors.push(duplicate_structure(&path.index(index), "core.v1.Toleration", toleration));
            }
        }
    }
    errors
}
