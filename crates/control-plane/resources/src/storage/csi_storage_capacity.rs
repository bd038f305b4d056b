//! CSIStorageCapacity: how much room a storage driver has in a part of the cluster.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;

use crate::columns::word;
use windlass_machinery::tree::{items, text};

use crate::pod_spec::warnings;
use crate::rules::{IMMUTABLE, complain, label_selector};
use crate::{Resource, Strategy};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities")
        .updates_need_version()
        .strategy(CsiStorageCapacity)
}

struct CsiStorageCapacity;

impl Strategy for CsiStorageCapacity {
    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        label_selector(&mut errors, &Path::new("nodeTopology"), object.get("nodeTopology"));
        let class = word(object, "/storageClassName");
        complain(&mut errors, &Path::new("storageClassName"), class, names::dns1123_subdomain(class));
        let capacity = word(object, "/capacity");
        if capacity.starts_with('-') {
            let detail = "must be greater than or equal to 0";
            errors.push(Error::invalid(&Path::new("capacity"), capacity, detail));
        }
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
        let topology = |object: &Value| object.get("nodeTopology").filter(|value| !value.is_null()).cloned();
        if topology(object) != topology(old) {
            let shown = topology(object).filter(|value| !empty(value)).unwrap_or_default();
            errors.push(Error::invalid(&Path::new("nodeTopology"), shown, IMMUTABLE));
        }
        let (class, before) = (word(object, "/storageClassName"), word(old, "/storageClassName"));
        if class != before {
            errors.push(Error::invalid(&Path::new("storageClassName"), class, IMMUTABLE));
        }
        errors
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let (topology, mut all) = (&object["nodeTopology"], Vec::new());
        for (index, expression) in items(topology, "matchExpressions").enumerate() {
            let key = text(expression, "key");
            let path = format!("nodeTopology.matchExpressions[{index}].key");
            all.extend(warnings::old_label(key).map(|what| format!("{path}: {key} is {what}")));
        }
        for (label, _) in topology["matchLabels"].as_object().into_iter().flatten() {
            all.extend(warnings::old_label(label).map(|what| format!("nodeTopology.matchLabels.{label}: {what}")));
        }
        all
    }
}
