//! Namespace: a scope for names. Deleting one first empties it: the object stays, in phase Terminating, until
//! `spec.finalizers` is empty.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path, complaints};
use windlass_api::names;
use windlass_api::well_known::{finalizer, label, namespace};

use crate::columns::{self, Column};
use crate::first::{Beginnings, First};
use crate::{Moment, Resource, Strategy, Subresource, Verbs, metadata};
use windlass_machinery::tree::{child, items, keep, put, set_text, text};

pub(crate) fn resource() -> Resource {
    Resource::cluster("", "v1", "Namespace", "namespaces")
        .short_names(&["ns"])
        .verbs(Verbs::AllButDeleteCollection)
        .subresources(&[Subresource::Finalize, Subresource::Status])
        .name_rule(names::dns1123_label)
        .selectable(&[("status.phase", "/status/phase")])
        .columns(vec![
            Column::name(),
            Column::string("Status", "Active, or Terminating while its contents are being deleted."),
            Column::age(),
        ])
        .strategy(Namespace)
}

struct Namespace;

impl Strategy for Namespace {
    fn first(&self, _beginnings: &Beginnings) -> Vec<First> {
        let names = [namespace::DEFAULT, namespace::KUBE_SYSTEM, namespace::KUBE_PUBLIC, namespace::KUBE_NODE_LEASE];
        names.map(|name| First::once(json!({"metadata": {"name": name}}))).to_vec()
    }

    fn set_defaults(&self, object: &mut Value) {
        set_name_label(object);
        set_text(child(object, "status"), "phase", "Active");
    }

    fn prepare_create(&self, object: &mut Value, _moment: Moment) {
        // Again, for the name may have been generated since.
        set_name_label(object);
        put(child(object, "status"), "phase", "Active");
        let spec = child(object, "spec");
        let mut finalizers: Vec<Value> = items(spec, "finalizers").cloned().collect();
        if !finalizers.iter().any(|f| f == finalizer::KUBERNETES) {
            finalizers.push(json!(finalizer::KUBERNETES));
        }
        put(spec, "finalizers", finalizers);
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        // Only the finalize subresource takes finalizers away.
        keep(child(object, "spec"), &old["spec"], "finalizers");
    }

    fn prepare_subresource(&self, _finalize: Subresource, object: &mut Value, sent: &Value, _moment: Moment) {
        keep(object, sent, "metadata");
        keep(child(object, "spec"), &sent["spec"], "finalizers");
    }

    fn validate(&self, object: &Value) -> Errors {
        let spec = Path::new("spec");
        let finalizers = spec.child("finalizers");
        items(object.get("spec").unwrap_or(&Value::Null), "finalizers")
            .filter_map(Value::as_str)
            .flat_map(|name| {
                let mut problems = names::qualified_name(name);
                if !metadata::is_qualified_finalizer(name) {
                    problems.push(metadata::UNQUALIFIED_FINALIZER.to_owned());
                }
                complaints(&finalizers, name, problems)
            })
            .collect()
    }

    fn validate_status(&self, object: &Value, _old: &Value) -> Errors {
        let phase = text(&object["status"], "phase");
        let is_going = object["metadata"].get("deletionTimestamp").is_some();
        let (expected, when) = if is_going { ("Terminating", "is not empty") } else { ("Active", "is empty") };
        if phase == expected {
            return Errors::new();
        }
        let detail = format!("may only be '{expected}' if `deletionTimestamp` {when}");
        Error::invalid(&Path::new("status").child("Phase"), phase, detail).into()
    }

    fn begin_deletion(&self, object: &mut Value, _moment: Moment) {
        put(child(object, "status"), "phase", "Terminating");
    }

    fn waits_for_contents(&self) -> bool {
        true
    }

    fn is_deletion_pending(&self, object: &Value) -> bool {
        items(&object["spec"], "finalizers").next().is_some()
    }

    fn precondition_words(&self) -> Option<&'static str> {
        Some("Precondition failed")
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let phase = object.get("status").map_or("", |status| text(status, "phase"));
        vec![columns::name(object), Value::from(phase), columns::age(object, now)]
    }
}

/// Every namespace can be selected by its name.
fn set_name_label(object: &mut Value) {
    let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
    if name.as_str().is_some_and(|name| !name.is_empty()) {
        put(child(child(object, "metadata"), "labels"), label::METADATA_NAME, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults() {
        let mut namespace = json!({"metadata": {"name": "a"}, "spec": {}, "status": {}});
        Namespace.set_defaults(&mut namespace);
        Namespace.prepare_create(&mut namespace, Moment { now: Timestamp::UNIX_EPOCH });
        assert_eq!(
            namespace,
            json!({"metadata": {"name": "a", "labels": {"kubernetes.io/metadata.name": "a"}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
        );
    }
}
