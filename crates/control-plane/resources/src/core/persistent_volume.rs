//! PersistentVolume: storage that outlives pods.

use jiff::Timestamp;
use serde_json::Value;
use windlass_api::field::{Errors, Path};
use windlass_api::{storage_class, time};
use windlass_machinery::tree::{child, items, keep, put, set, set_text, text};

use super::persistent_volume_validation::{validate_mount_options, validate_volume_spec, validate_volume_update};
use crate::columns::{self, word};
use crate::pod_spec::set_source_defaults;
use crate::pod_spec::warnings;
use crate::quantities::round_up;
use crate::{Moment, Resource, Strategy, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("", "v1", "PersistentVolume", "persistentvolumes")
        .short_names(&["pv"])
        .subresources(&[Subresource::Status])
        .columns(columns::list(&[
            "Name",
            "Capacity",
            "Access Modes",
            "Reclaim Policy",
            "Status",
            "Claim",
            "StorageClass",
            "VolumeAttributesClass",
            "Reason",
            "Age",
            "+VolumeMode",
        ]))
        .strategy(PersistentVolume)
}

struct PersistentVolume;

/// Defaults of a volume's specification, in a PersistentVolume as inline in a VolumeAttachment.
pub(crate) fn set_volume_spec_defaults(spec: &mut Value) {
    round_up(spec.get_mut("capacity"));
    for (kind, source) in spec.as_object_mut().into_iter().flatten() {
        set_source_defaults(kind, source);
    }
}

impl Strategy for PersistentVolume {
    fn set_defaults(&self, object: &mut Value) {
        set_text(child(object, "status"), "phase", "Pending");
        let spec = child(object, "spec");
        set_text(spec, "persistentVolumeReclaimPolicy", "Retain");
        set(spec, "volumeMode", "Filesystem");
        set_volume_spec_defaults(spec);
    }

    fn prepare_create(&self, object: &mut Value, moment: Moment) {
        let status = child(object, "status");
        put(status, "phase", "Pending");
        put(status, "lastPhaseTransitionTime", time::rfc3339(moment.now));
    }

    fn prepare_status(&self, object: &mut Value, old: &Value, moment: Moment) {
        const CHANGED: &str = "lastPhaseTransitionTime";
        let (status, old_status) = (child(object, "status"), &old["status"]);
        let at = status.get(CHANGED).filter(|at| !at.is_null());
        if text(status, "phase") == text(old_status, "phase") {
            if at.is_none() {
                keep(status, old_status, CHANGED);
            }
        } else if at.is_none() || at == old_status.get(CHANGED) {
            put(status, CHANGED, time::rfc3339(moment.now));
        }
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings::of_volume(object)
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn validate(&self, object: &Value) -> Errors {
        let mut errors = Errors::new();
        validate_volume_spec(&mut errors, &object["spec"], &Path::new("spec"));
        validate_mount_options(&mut errors, object);
        errors
    }

    fn validate_update(&self, object: &Value, old: &Value) -> Errors {
        let mut errors = self.validate(object);
        validate_volume_update(&mut errors, object, old);
        errors
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = &object["spec"];
        let claim = spec.get("claimRef").filter(|claim| claim.is_object());
        let claim = claim.map(|claim| format!("{}/{}", text(claim, "namespace"), text(claim, "name")));
        vec![
            columns::name(object),
            Value::from(spec.pointer("/capacity/storage").and_then(Value::as_str).unwrap_or("0")),
            Value::from(access_modes(spec)),
            Value::from(text(spec, "persistentVolumeReclaimPolicy")),
            Value::from(phase(object)),
            Value::from(claim.unwrap_or_default()),
            Value::from(storage_class::of_tree(object).unwrap_or_default()),
            or_unset(spec, "volumeAttributesClassName"),
            Value::from(word(object, "/status/reason")),
            columns::age(object, now),
            or_unset(spec, "volumeMode"),
        ]
    }
}

/// The phase of a claim or volume, or that it is being deleted.
pub(super) fn phase(object: &Value) -> &str {
    match object["metadata"].get("deletionTimestamp") {
        Some(at) if !at.is_null() => "Terminating",
        _ => word(object, "/status/phase"),
    }
}

pub(super) fn or_unset(spec: &Value, field: &str) -> Value {
    Value::from(spec.get(field).and_then(Value::as_str).unwrap_or("<unset>"))
}

/// `RWO,ROX,RWX,RWOP`
pub(super) fn access_modes(owner: &Value) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let has = |mode: &str| items(owner, "accessModes").any(|m| m == mode);
    let modes: Vec<&str> = SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    modes.join(",")
}
