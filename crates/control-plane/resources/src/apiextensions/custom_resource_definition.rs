//! CustomResourceDefinition: a kind that users add.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_machinery::tree::{child, items, put, set, set_text, text};

use crate::columns;
use crate::{Moment, Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
        .takes_any_finalizer()
        .short_names(&["crd", "crds"])
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(vec![
            columns::Column::name(),
            columns::Column { kind: "date".into(), ..columns::Column::string("Created At", "") },
        ])
        .updates_need_version()
        .strategy(CustomResourceDefinition)
}

struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn set_defaults(&self, object: &mut Value) {
        let spec = child(object, "spec");
        let names = child(spec, "names");
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            set_text(names, "singular", &kind.to_lowercase());
            set_text(names, "listKind", &format!("{kind}List"));
        }
        set(spec, "conversion", json!({"strategy": "None"}));
        if let Some(service) = spec.pointer_mut("/conversion/webhook/clientConfig/service").filter(|s| s.is_object()) {
            set(service, "port", 443);
        }
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        remember_stored_version(object);
    }

    fn prepare_update(&self, object: &mut Value, _old: &Value, _moment: Moment) {
        remember_stored_version(object);
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        columns::default_cells(object)
    }
}

/// Notes every version in which objects may lie in the store.
fn remember_stored_version(object: &mut Value) {
    let stored = items(&object["spec"], "versions").find(|version| version["storage"] == true);
    let Some(name) = stored.map(|version| text(version, "name").to_owned()) else { return };
    let status = child(object, "status");
    let mut versions: Vec<Value> = items(status, "storedVersions").cloned().collect();
    if !versions.iter().any(|version| *version == name) {
        versions.push(Value::from(name));
        put(status, "storedVersions", versions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_versions() {
        let mut definition =
            json!({"spec": {"names": {"kind": "Cat"}, "versions": [{"name": "v1", "storage": true}]}, "status": {}});
        CustomResourceDefinition.set_defaults(&mut definition);
        remember_stored_version(&mut definition);
        definition["spec"]["versions"] = json!([{"name": "v1"}, {"name": "v2", "storage": true}]);
        remember_stored_version(&mut definition);
        assert_eq!(definition["status"]["storedVersions"], json!(["v1", "v2"]));
        assert_eq!(definition["spec"]["names"], json!({"kind": "Cat", "singular": "cat", "listKind": "CatList"}));
        assert_eq!(definition["spec"]["conversion"], json!({"strategy": "None"}));
    }
}
