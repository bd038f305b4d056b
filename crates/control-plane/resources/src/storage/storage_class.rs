//! StorageClass: a kind of storage that can be claimed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_machinery::tree::{items, set, text};

use super::validation::{validate_driver, validate_parameters};
use crate::columns::{self, word};
use crate::pod_spec::warnings;
use crate::rules::{label_name, supported, texts, unchanged};
use crate::{Resource, Strategy};

const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(crate) fn resource() -> Resource {
    Resource::cluster("storage.k8s.io", "v1", "StorageClass", "storageclasses")
        .short_names(&["sc"])
        .columns(columns::list(&[
            "Name",
            "Provisioner",
            "ReclaimPolicy",
            "VolumeBindingMode",
            "AllowVolumeExpansion",
            "Age",
        ]))
        .strategy(StorageClass)
}

struct StorageClass;

impl Strategy for StorageClass {
    fn set_defaults(&self, object: &mut Value) {
        set(object, "reclaimPolicy", "Delete");
        set(object, "volumeBindingMode", "Immediate");
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_driver(&mut errors, object, "provisioner");
        validate_parameters(&mut errors, object, true);
        let policy = word(object, "/reclaimPolicy");
        if !policy.is_empty() {
            supported(&mut errors, &Path::new("reclaimPolicy"), policy, &["Delete", "Retain"]);
        }
        let mode = word(object, "/volumeBindingMode");
        supported(&mut errors, &Path::new("volumeBindingMode"), mode, &["Immediate", "WaitForFirstConsumer"]);
        validate_topologies(&mut errors, object);
        require_provisioner(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        for field in ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"] {
            unchanged(&mut errors, &Path::new(field), object.get(field), old.get(field));
        }
        errors
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut all = Vec::new();
        for (i, topology) in items(object, "allowedTopologies").enumerate() {
            for (j, expression) in items(topology, "matchLabelExpressions").enumerate() {
                let what = warnings::old_label(text(expression, "key"));
                all.extend(what.map(|what| format!("allowedTopologies[{i}].matchLabelExpressions[{j}].key: {what}")));
            }
        }
        all
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut name = word(object, "/metadata/name").to_owned();
        let annotations = object.pointer("/metadata/annotations").unwrap_or(&Value::Null);
        if DEFAULT_ANNOTATIONS.iter().any(|annotation| text(annotations, annotation) == "true") {
            name.push_str(" (default)");
        }
        let or = |field: &str, absent: &str| match text(object, field) {
            "" => Value::from(absent),
            value => Value::from(value),
        };
        vec![
            Value::from(name),
            Value::from(text(object, "provisioner")),
            or("reclaimPolicy", "Delete"),
            or("volumeBindingMode", "Immediate"),
            Value::from(object.get("allowVolumeExpansion").and_then(Value::as_bool).unwrap_or(false)),
            columns::age(object, now),
        ]
    }
}

fn require_provisioner(errors: &mut Errors, object: &Value) {
    if text(object, "provisioner").is_empty() {
        errors.push(Error::required(&Path::new("provisioner"), ""));
    }
}

/// Where volumes may be: terms of labels, no two of them alike.
fn validate_topologies(errors: &mut Errors, object: &Value) {
    let path = Path::new("allowedTopologies");
    // Upstream starts with as many empty terms as there are terms, so that every empty one is a duplicate.
    let mut seen: Vec<BTreeMap<&str, BTreeSet<&str>>> =
        vec![BTreeMap::new(); items(object, "allowedTopologies").count()];
    for (index, term) in items(object, "allowedTopologies").enumerate() {
        let path = path.index(index);
        let path = path.child("matchLabelExpressions");
        let mut expressions = BTreeMap::new();
        for (index, requirement) in items(term, "matchLabelExpressions").enumerate() {
            let path = path.index(index);
            let values_path = path.child("values");
            let mut values = BTreeSet::new();
            if texts(requirement, "values").next().is_none() {
                errors.push(Error::required(&values_path, ""));
            }
            for (index, value) in texts(requirement, "values").enumerate() {
                if !values.insert(value) {
                    errors.push(Error::duplicate(&values_path.index(index), value));
                }
            }
            let key = text(requirement, "key");
            label_name(errors, &path.child("key"), key);
            if expressions.insert(key, values).is_some() {
                errors.push(Error::duplicate(&path.child("key"), key));
            }
        }
        for _ in seen.iter().filter(|other| **other == expressions) {
            errors.push(Error::duplicate(&path, ""));
        }
        seen.push(expressions);
    }
}
