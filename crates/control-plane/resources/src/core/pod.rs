//! Pod: containers that share a network and volumes, on one node.

use jiff::Timestamp;
use serde_json::{Value, json};
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::pod::{PodTree, qos_class};
use windlass_api::time;
use windlass_machinery::tree::{child, items, keep, put, text};

use super::pod_row;
use crate::columns;
use crate::pod_spec::validation::{self, Subject};
use crate::pod_spec::warnings;
use crate::pod_spec::{preparation, set_pod_defaults, set_pod_level_resources};
use crate::rules::{non_negative, object_at};
use crate::{Moment, Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("", "v1", "Pod", "pods")
        .short_names(&["po"])
        .categories(&["all"])
        .subresources(&[
            Subresource::Attach,
            Subresource::Binding,
            Subresource::EphemeralContainers,
            Subresource::Eviction,
            Subresource::Exec,
            Subresource::Log,
            Subresource::PortForward,
            Subresource::Proxy,
            Subresource::Resize,
            Subresource::Status,
        ])
        .counts_generations()
        .deletes_gracefully()
        .selectable(&[
            ("spec.nodeName", "/spec/nodeName"),
            ("spec.restartPolicy", "/spec/restartPolicy"),
            ("spec.schedulerName", "/spec/schedulerName"),
            ("spec.serviceAccountName", "/spec/serviceAccountName"),
            ("status.phase", "/status/phase"),
            ("status.podIP", "/status/podIP"),
            ("status.nominatedNodeName", "/status/nominatedNodeName"),
        ])
        .selectable_or("spec.hostNetwork", "/spec/hostNetwork", "false")
        .columns(columns::list(&[
            "Name",
            "Ready",
            "Status",
            "Restarts",
            "Age",
            "+IP",
            "+Node",
            "+Nominated Node",
            "+Readiness Gates",
        ]))
        .strategy(Pod)
}

struct Pod;

impl Strategy for Pod {
    /// A binding is no change of what is wanted.
    fn is_new_generation(&self, object: &Value, old: &Value) -> bool {
        fn wanted(pod: &Value) -> impl Iterator<Item = (&String, &Value)> {
            pod["spec"].as_object().into_iter().flatten().filter(|(field, _)| *field != "nodeName")
        }
        wanted(object).ne(wanted(old))
    }

    fn set_defaults(&self, object: &mut Value) {
        set_pod_defaults(object);
    }

    fn prepare_create(&self, object: &mut Value, moment: Moment) {
        put(child(object, "status"), "phase", "Pending");
        if object.pointer("/spec/schedulingGates/0").is_some() {
            let condition = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates", "lastProbeTime": null,
                "lastTransitionTime": time::rfc3339(moment.now)});
            put(child(object, "status"), "conditions", json!([condition]));
        }
        preparation::merge_label_keys(object);
        preparation::apply_app_armor_annotations(object);
        set_pod_level_resources(child(object, "spec"));
        let class = qos_class(PodTree::of_spec(&object["spec"]));
        put(child(object, "status"), "qosClass", class.name());
    }

    fn prepare_update(&self, object: &mut Value, old: &Value, _moment: Moment) {
        // A client that does not know pod-level resources does not mean to take them away.
        if object.pointer("/spec/resources").is_none_or(Value::is_null) {
            keep(child(object, "spec"), &old["spec"], "resources");
        }
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, _moment: Moment) {
        let (status, old_status) = (child(object, "status"), &old["status"]);
        // What older kubelets do not know or say stays: the class, which follows from the specification, and what the
        // scheduler and the API server have noted.
        if text(status, "qosClass").is_empty() {
            keep(status, old_status, "qosClass");
        }
        for field in ["resourceClaimStatuses", "extendedResourceClaimStatus", "nodeAllocatableResourceClaimStatuses"] {
            if status.get(field).is_none_or(Value::is_null) {
                keep(status, old_status, field);
            }
        }
        preparation::keep_observed_generations(status, old_status);
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = validate_any(object);
        let spec = Path::new("spec");
        if object.pointer("/spec/ephemeralContainers/0").is_some() {
            errors.push(Error::forbidden(&spec.child("ephemeralContainers"), "cannot be set on create"));
        }
        let is_gated = object.pointer("/spec/schedulingGates/0").is_some();
        if is_gated && !text(&object["spec"], "nodeName").is_empty() {
            let detail = "cannot be set until all schedulingGates have been cleared";
            errors.push(Error::forbidden(&spec.child("nodeName"), detail));
        }
        validation::validate_profiles_match(&mut errors, &object["metadata"], &object["spec"], &spec);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = validate_any(object);
        validation::validate_pod_update(&mut errors, object, old);
        errors
    }

    fn validate_status(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = Errors::new();
        validation::validate_status_update(&mut errors, object, old);
        errors
    }

    fn prepare_subresource(&self, subresource: Subresource, object: &mut Value, sent: &Value, _moment: Moment) {
        match subresource {
            Subresource::EphemeralContainers => {
                keep(child(object, "spec"), &sent["spec"], "ephemeralContainers");
            }
            Subresource::Resize => preparation::take_resources(child(object, "spec"), &sent["spec"]),
            _ => {}
        }
    }

    fn validate_subresource(&self, subresource: Subresource, object: &Value, old: &Value) -> Errors {
        let mut errors = validate_any(object);
        match subresource {
            Subresource::EphemeralContainers => {
                validation::validate_ephemeral_containers_update(&mut errors, object, old);
            }
            Subresource::Resize => validation::validate_resize(&mut errors, object, old),
            _ => {}
        }
        errors
    }

    /// Updates are frequent, and seldom made by people.
    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some() {
            return Vec::new();
        }
        let problems = names::dns1123_label(text(&object["metadata"], "name"));
        let of_name = (!problems.is_empty()).then(|| {
            let problems = problems.join(" ");
            format!(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; \
                 a DNS label is recommended: [{problems}]"
            )
        });
        of_name.into_iter().chain(warnings::of_pod(object)).collect()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        pod_row::cells(object, now)
    }

    fn deletion_grace_seconds(&self, object: &Value, asked: Option<i64>) -> i64 {
        let of_pod = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
        let grace = asked.unwrap_or(of_pod);
        let grace = if grace < 0 { 1 } else { grace };
        let unassigned = text(&object["spec"], "nodeName").is_empty();
        let finished = matches!(text(&object["status"], "phase"), "Failed" | "Succeeded");
        // Nobody has to wait for a pod that runs nowhere.
        if unassigned || finished { 0 } else { grace }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// What holds for every pod, new or changed.
fn validate_any(object: &Value) -> Errors {
    let mut errors = Errors::new();
    let (metadata, spec) = (&object["metadata"], &object["spec"]);
    let (metadata_path, path) = (Path::new("metadata"), Path::new("spec"));
    validation::validate_annotations(&mut errors, metadata, spec, &metadata_path.child("annotations"));
    validation::validate_spec(&mut errors, spec, &path, Subject { pod: Some(metadata) });
    if text(spec, "serviceAccountName").is_empty() {
        let volumes = path.child("volumes");
        for (index, volume) in items(spec, "volumes").enumerate() {
            let Some(projected) = object_at(volume, "projected") else { continue };
            let volume_path = volumes.index(index);
            let projected_path = volume_path.child("projected");
            let sources = projected_path.child("sources");
            for (at, _) in
                items(projected, "sources").enumerate().filter(|(_, s)| object_at(s, "serviceAccountToken").is_some())
            {
                let source = sources.index(at);
                let detail = "must not be specified when serviceAccountName is not set";
                errors.push(Error::forbidden(&source.child("serviceAccountToken"), detail));
            }
        }
    }
    if let Some(seconds) = spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64) {
        non_negative(&mut errors, &path.child("terminationGracePeriodSeconds"), seconds);
    }
    validation::validate_containers_of_pod(&mut errors, spec, &path);
    errors
}
