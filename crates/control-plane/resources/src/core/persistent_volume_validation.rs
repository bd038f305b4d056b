//! What is wrong with a PersistentVolume, or with the like of it in a VolumeAttachment.
//!
//! Source: upstream `pkg/apis/core/validation/validation.go`, `ValidatePersistentVolumeSpec`.

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_api::quantity::Quantity;
use windlass_api::well_known::annotation;
use windlass_machinery::tree::text;

use crate::go_form::invalid_structure;
use crate::pod_spec::validation::{csi_driver_name, validate_node_selector, validate_source};
use crate::rules::{IMMUTABLE, at, complain, map_at, no_backsteps, object_at, required, supported, texts};

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const ONLY_ONE: &str = "may not specify more than 1 volume type";
const NOT_INLINE: &str = "may not be specified in the context of inline volumes";

/// The kinds of volumes in the order in which they are judged.
const SOURCES: [&str; 22] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

pub(crate) fn validate_volume_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    validate_access_modes(errors, spec, path);
    validate_capacity(errors, spec, path);
    let policy = text(spec, "persistentVolumeReclaimPolicy");
    let policy_path = path.child("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        supported(errors, &policy_path, policy, &["Delete", "Recycle", "Retain"]);
    }
    let affinity = object_at(spec, "nodeAffinity");
    if let Some(affinity) = affinity {
        let path = path.child("nodeAffinity");
        match object_at(affinity, "required") {
            Some(selector) => validate_node_selector(errors, selector, &path.child("required"), true),
            None => errors.push(Error::required(&path.child("required"), "must specify required node constraints")),
        }
    }
    validate_sources(errors, spec, path);
    if policy == "Recycle" && is_root(spec) {
        errors.push(Error::forbidden(&policy_path, "may not be 'recycle' for a hostPath mount of '/'"));
    }
    let class = text(spec, "storageClassName");
    if !class.is_empty() {
        complain(errors, &path.child("storageClassName"), class, names::dns1123_subdomain(class));
    }
    if let Some(mode) = at(spec, "volumeMode").and_then(Value::as_str) {
        supported(errors, &path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
    if let Some(class) = at(spec, "volumeAttributesClassName").and_then(Value::as_str) {
        let class_path = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.push(Error::required(&class_path, "an empty string is disallowed"));
        } else {
            complain(errors, &class_path, class, names::dns1123_subdomain(class));
        }
        if object_at(spec, "csi").is_none() {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.push(Error::required(&path.child("csi"), detail));
        }
    }
}

/// A volume that only the attachment knows of.
pub(crate) fn validate_inline_volume(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let forbid = |errors: &mut Errors, field: &str, detail: &str| {
        errors.push(Error::forbidden(&path.child(field), detail));
    };
    if object_at(spec, "claimRef").is_some() {
        forbid(errors, "claimRef", NOT_INLINE);
    }
    if map_at(spec, "capacity").is_some_and(|capacity| !capacity.is_empty()) {
        forbid(errors, "capacity", NOT_INLINE);
    }
    if object_at(spec, "csi").is_none() {
        let detail = "has to be specified in the context of inline volumes";
        errors.push(Error::required(&path.child("csi"), detail));
    }
    validate_access_modes(errors, spec, path);
    if !matches!(text(spec, "persistentVolumeReclaimPolicy"), "" | "Retain") {
        let detail = "may only be Retain in the context of inline volumes";
        forbid(errors, "persistentVolumeReclaimPolicy", detail);
    }
    if object_at(spec, "nodeAffinity").is_some() {
        forbid(errors, "nodeAffinity", NOT_INLINE);
    }
    validate_sources(errors, spec, path);
    if !text(spec, "storageClassName").is_empty() {
        forbid(errors, "storageClassName", NOT_INLINE);
    }
    if !matches!(text(spec, "volumeMode"), "" | "Filesystem") {
        let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        forbid(errors, "volumeMode", detail);
    }
}

fn is_root(spec: &Value) -> bool {
    object_at(spec, "hostPath").is_some_and(|host| {
        let path = text(host, "path");
        path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "."))
    })
}

fn validate_access_modes(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let path = path.child("accessModes");
    if texts(spec, "accessModes").next().is_none() {
        errors.push(Error::required(&path, ""));
    }
    for mode in texts(spec, "accessModes") {
        supported(errors, &path, mode, &ACCESS_MODES);
    }
    let is_exclusive = |mode: &str| mode == "ReadWriteOncePod";
    let has_other = texts(spec, "accessModes").any(|mode| ACCESS_MODES.contains(&mode) && !is_exclusive(mode));
    if has_other && texts(spec, "accessModes").any(is_exclusive) {
        errors.push(Error::forbidden(&path, "may not use ReadWriteOncePod with other access modes"));
    }
}

fn validate_capacity(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let path = path.child("capacity");
    let capacity = map_at(spec, "capacity").filter(|capacity| !capacity.is_empty());
    if capacity.is_none() {
        errors.push(Error::required(&path, ""));
    }
    if capacity.is_none_or(|capacity| capacity.len() > 1 || !capacity.contains_key("storage")) {
        let shown = spec.get("capacity").cloned().unwrap_or_default();
        errors.push(Error::not_supported(&path, shown, &["storage"]));
    }
    for (name, quantity) in capacity.into_iter().flatten() {
        let path = path.key(name);
        let Some(value) = quantity.as_str().and_then(|text| text.parse::<Quantity>().ok()) else { continue };
        if value.is_negative() {
            errors.push(Error::invalid(&path, value.units(), "must be a valid resource quantity"));
        }
        if value.is_negative() || value.is_zero() {
            errors.push(Error::invalid(&path, quantity.clone(), "must be greater than zero"));
        }
    }
}

fn validate_sources(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let mut count = 0;
    for kind in SOURCES {
        let Some(source) = object_at(spec, kind) else { continue };
        if count > 0 && kind != "flexVolume" {
            let kind = if kind == "cephfs" { "cephFS" } else { kind };
            errors.push(Error::forbidden(&path.child(kind), ONLY_ONE));
            continue;
        }
        count += 1;
        // Upstream calls it so.
        let shown = if kind == "gcePersistentDisk" { "persistentDisk" } else { kind };
        validate_volume_source(errors, kind, source, &path.child(shown));
        if kind == "local" && object_at(spec, "nodeAffinity").is_none() {
            errors.push(Error::required(&path.child("nodeAffinity"), "Local volume requires node affinity"));
        }
    }
    if count == 0 {
        errors.push(Error::required(path, "must specify a volume type"));
    }
}

/// Some kinds of sources are not those that pods have.
fn validate_volume_source(errors: &mut Errors, kind: &str, source: &Value, path: &Path<'_>) {
    match kind {
        "csi" => {
            csi_driver_name(errors, text(source, "driver"), &path.child("driver"));
            required(errors, source, path, "volumeHandle");
            let secrets = [
                "controllerPublishSecretRef",
                "controllerExpandSecretRef",
                "nodePublishSecretRef",
                "nodeExpandSecretRef",
            ];
            for field in secrets {
                if let Some(secret) = object_at(source, field) {
                    validate_secret(errors, secret, &path.child(field));
                }
            }
        }
        "local" => {
            if required(errors, source, path, "path") {
                no_backsteps(errors, &path.child("path"), text(source, "path"));
            }
        }
        kind => {
            validate_source(errors, kind, source, path);
            if kind == "azureFile" && at(source, "secretNamespace").is_some() {
                required(errors, source, path, "secretNamespace");
            }
            if kind == "glusterfs"
                && let Some(namespace) = at(source, "endpointsNamespace").and_then(Value::as_str)
            {
                let path = path.child("endpointsNamespace");
                if namespace.is_empty() {
                    let detail = "if the endpointnamespace is set, it must be a valid namespace name";
                    errors.push(Error::invalid(&path, "", detail));
                } else {
                    complain(errors, &path, namespace, names::dns1123_label(namespace));
                }
            }
        }
    }
}

fn validate_secret(errors: &mut Errors, secret: &Value, path: &Path<'_>) {
    let rules = [("name", names::dns1123_subdomain as crate::rules::NameRule), ("namespace", names::dns1123_label)];
    for (field, rule) in rules {
        if required(errors, secret, path, field) {
            let value = text(secret, field);
            complain(errors, &path.child(field), value, rule(value));
        }
    }
}

/// The annotation is for kinds of volumes that had options before there was a field for them.
pub(super) fn validate_mount_options(errors: &mut Errors, volume: &Value) {
    const WITH_OPTIONS: [&str; 13] = [
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "nfs",
        "rbd",
        "quobyte",
        "iscsi",
        "cinder",
        "cephfs",
        "azureFile",
        "vsphereVolume",
        "azureDisk",
        "photonPersistentDisk",
    ];
    let is_annotated = volume["metadata"]["annotations"].get(annotation::MOUNT_OPTIONS).is_some();
    if is_annotated && !WITH_OPTIONS.iter().any(|kind| volume["spec"].get(*kind).is_some_and(Value::is_object)) {
        let metadata = Path::new("metadata");
        let annotations = metadata.child("annotations");
        let path = annotations.child(annotation::MOUNT_OPTIONS);
        errors.push(Error::forbidden(&path, "may not specify mount options for this volume type"));
    }
}

pub(crate) fn validate_volume_update(errors: &mut Errors, object: &Value, old: &Value) {
    let null = Value::Null;
    let (spec, before) = (object.get("spec").unwrap_or(&null), old.get("spec").unwrap_or(&null));
    let source = |spec: &Value, kind: &str| at(spec, kind).cloned();
    let changed = SOURCES.iter().any(|kind| {
        let (mut new, old) = (source(spec, kind), source(before, kind));
        if let (Some(new), Some(old)) = (&mut new, &old)
            && *kind == "csi"
            && object_at(old, "controllerExpandSecretRef").is_none()
        {
            windlass_machinery::tree::remove(new, "controllerExpandSecretRef");
        }
        new != old
    });
    let path = Path::new("spec");
    if changed {
        let detail = "spec.persistentvolumesource is immutable after creation\n";
        errors.push(Error::forbidden(&path.child("persistentvolumesource"), detail));
    }
    if at(spec, "volumeMode") != at(before, "volumeMode") {
        let mode = spec.get("volumeMode").cloned().unwrap_or_default();
        errors.push(Error::invalid(&Path::new("volumeMode"), mode, IMMUTABLE));
    }
    if let Some(affinity) = at(before, "nodeAffinity")
        && at(spec, "nodeAffinity") != Some(affinity)
        && at(spec, "nodeAffinity").map(without_beta_labels) != Some(without_beta_labels(affinity))
    {
        let affinity = spec.get("nodeAffinity").unwrap_or(&Value::Null);
        let detail = format!("{IMMUTABLE}, except for updating from beta label to GA");
        errors.push(invalid_structure(&Path::new("nodeAffinity"), "core.v1.VolumeNodeAffinity", affinity, &detail));
    }
    if at(before, "volumeAttributesClassName").is_some() && at(spec, "volumeAttributesClassName").is_none() {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(Error::forbidden(&path.child("volumeAttributesClassName"), detail));
    }
}

/// The same rules with the names that their labels have today.
fn without_beta_labels(affinity: &Value) -> Value {
    const LABELS: [(&str, &str); 5] = [
        ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
        ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
        ("beta.kubernetes.io/os", "kubernetes.io/os"),
        ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
        ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ];
    let mut affinity = affinity.clone();
    let Some(required) = affinity.get_mut("required") else { return affinity };
    for term in windlass_machinery::tree::items_mut(required, "nodeSelectorTerms") {
        for requirement in windlass_machinery::tree::items_mut(term, "matchExpressions") {
            let key = text(requirement, "key").to_owned();
            if let Some((_, now)) = LABELS.iter().find(|(beta, _)| *beta == key) {
                windlass_machinery::tree::put(requirement, "key", *now);
            }
        }
    }
    affinity
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_may_lose_their_beta() {
        let volume = |key: &str| {
            let terms = json!([{"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]}]}]);
            json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})
        };
        let old = volume("failure-domain.beta.kubernetes.io/zone");
        let count = |new: &str| {
            let mut errors = Errors::new();
            validate_volume_update(&mut errors, &volume(new), &old);
            errors.len()
        };
        assert_eq!((count("topology.kubernetes.io/zone"), count("other")), (0, 1));
    }

    #[test]
    fn mount_options() {
        let problems = |kind: &str, annotation: &str| {
            let mut errors = Errors::new();
            let volume = json!({"metadata": {"annotations": {annotation: "ro"}}, "spec": {kind: {}}});
            validate_mount_options(&mut errors, &volume);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(problems("nfs", annotation::MOUNT_OPTIONS).is_empty() && problems("hostPath", "other").is_empty());
        assert_eq!(
            problems("hostPath", annotation::MOUNT_OPTIONS),
            [
                "metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options for this \
              volume type"
            ]
        );
    }
}
