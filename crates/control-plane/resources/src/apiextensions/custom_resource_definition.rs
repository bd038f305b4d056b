//! CustomResourceDefinition: a kind that users add.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::condition;
use windlass_api::field::Errors;
use windlass_api::well_known::finalizer;
use windlass_machinery::tree::{child, items, put, remove, set, set_text, text};

use crate::{Moment, Resource, Strategy, Subresource};
use crate::{columns, definition};

use super::{validation, warnings};

pub(crate) fn resource() -> Resource {
    Resource::cluster("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
        .takes_any_finalizer()
        .short_names(&["crd", "crds"])
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
        .counts_generations()
        .columns(vec![
            columns::Column::name(),
            columns::Column::string("Scope", "Cluster/Namespaced"),
            columns::Column::string("Versions", "Served versions"),
            columns::Column {
                kind: "date".into(),
                ..columns::Column::string("Created At", "When the object was created.")
            },
            columns::Column::string("Group", "API group").wide(),
            columns::Column::string("Kind", "CustomResource kind").wide(),
            columns::Column::string("ShortNames", "Short names").wide(),
            columns::Column { kind: "boolean".into(), ..columns::Column::string("Established", "Established status") }
                .wide(),
        ])
        .updates_need_version()
        .strategy(CustomResourceDefinition)
}

struct CustomResourceDefinition;

impl Strategy for CustomResourceDefinition {
    fn precondition_words(&self) -> Option<&'static str> {
        Some("precondition failed")
    }

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
        if items(&object["status"], "storedVersions").next().is_none() {
            remember_stored_version(object);
        }
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        forget_empty_webhook(object);
        remember_stored_version(object);
    }

    fn prepare_update(&self, object: &mut Value, _old: &Value, _moment: Moment) {
        forget_empty_webhook(object);
        remember_stored_version(object);
    }

    fn validate(&self, object: &Value) -> Errors {
        validation::validate_create(object)
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        validation::validate_update(object, old)
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        validation::validate_status(object)
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        warnings::warnings(object, old)
    }

    /// Its objects go first.
    fn begin_deletion(&self, object: &mut Value, moment: Moment) {
        let metadata = child(object, "metadata");
        let mut finalizers: Vec<Value> = items(metadata, "finalizers").cloned().collect();
        if !finalizers.iter().any(|name| name == finalizer::CUSTOM_RESOURCE_CLEANUP) {
            finalizers.push(json!(finalizer::CUSTOM_RESOURCE_CLEANUP));
            put(metadata, "finalizers", finalizers);
        }
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        let pending = json!({"type": definition::condition::TERMINATING, "status": condition::TRUE, "reason": "InstanceDeletionPending",
            "message": message});
        let status = child(object, "status");
        let mut conditions = condition::list(status).to_vec();
        condition::set(&mut conditions, pending, moment.now);
        put(status, "conditions", conditions);
    }

    fn waits_for_contents(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let (spec, conditions) = (&object["spec"], condition::list(&object["status"]));
        let served = items(spec, "versions").filter(|version| version["served"] == true);
        let mut versions: Vec<String> = served
            .map(|version| {
                format!("{}{}", text(version, "name"), if version["storage"] == true { "(storage)" } else { "" })
            })
            .collect();
        versions.sort();
        let short_names: Vec<&str> = items(&spec["names"], "shortNames").filter_map(Value::as_str).collect();
        vec![
            columns::name(object),
            Value::from(text(spec, "scope")),
            Value::from(versions.join(",")),
            object["metadata"]["creationTimestamp"].clone(),
            Value::from(text(spec, "group")),
            Value::from(text(&spec["names"], "kind")),
            Value::from(short_names.join(",")),
            Value::from(condition::is_true(conditions, definition::condition::ESTABLISHED)),
        ]
    }
}

/// Takes away a webhook that says nothing; upstream's stored form has no place for it.
fn forget_empty_webhook(object: &mut Value) {
    let Some(conversion) = object.pointer_mut("/spec/conversion") else { return };
    let webhook = &conversion["webhook"];
    if webhook.is_object() && webhook["clientConfig"].is_null() && webhook["conversionReviewVersions"].is_null() {
        remove(conversion, "webhook");
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
    #[test]
    fn empty_webhooks() {
        let forgotten = |conversion: Value| {
            let mut definition = json!({"spec": {"conversion": conversion}});
            forget_empty_webhook(&mut definition);
            definition["spec"]["conversion"]["webhook"].is_null()
        };
        assert!(forgotten(json!({"webhook": {"conversionReviewVersions": null}})));
        assert!(!forgotten(json!({"webhook": {"conversionReviewVersions": []}})));
        assert!(!forgotten(json!({"webhook": {"conversionReviewVersions": null, "clientConfig": {"url": ""}}})));
    }

    #[test]
    fn a_status_without_stored_versions_gets_one() {
        let mut definition = json!({"spec": {"names": {}, "versions": [{"name": "v1"}, {"name": "v2", "storage": true}]}, "status": {"storedVersions": []}});
        CustomResourceDefinition.set_defaults(&mut definition);
        assert_eq!(definition["status"]["storedVersions"], json!(["v2"]));
        definition["status"]["storedVersions"] = json!(["v1"]);
        CustomResourceDefinition.set_defaults(&mut definition);
        assert_eq!(definition["status"]["storedVersions"], json!(["v1"]));
    }
}
