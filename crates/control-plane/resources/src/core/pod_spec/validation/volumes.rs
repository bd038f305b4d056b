//! The volumes of a pod, and the claims that some of them are templates of.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::{Quantity, names};
use windlass_machinery::tree::{items, text};

use super::Subject;
use super::resources::validate_quantity;
use super::spec::Volumes;
use super::volume_sources::validate_source;
use crate::rules::{at, complain, label_selector, object_at, required, supported, texts};

/// Sources in the order in which upstream looks at them, with the name that it gives them in errors where that differs.
const SOURCES: [(&str, &str); 30] = [
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "persistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephfs"),
    ("quobyte", "quobyte"),
    ("downwardAPI", "downwardAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];

/// Returns the valid volumes: a mount of an invalid one is one error more.
pub(super) fn validate_volumes<'a>(
    errors: &mut Errors,
    spec: &'a Value,
    path: &Path<'_>,
    subject: Subject<'_>,
) -> Volumes<'a> {
    let pod = subject.pod.map_or("", |metadata| text(metadata, "name"));
    let created: BTreeSet<String> = items(spec, "volumes")
        .filter(|volume| !pod.is_empty() && object_at(volume, "ephemeral").is_some())
        .map(|volume| format!("{pod}-{}", text(volume, "name")))
        .collect();
    let mut volumes = Volumes::new();
    for (index, volume) in items(spec, "volumes").enumerate() {
        let path = path.index(index);
        let before = errors.len();
        validate_sources(errors, volume, &path, pod);
        let name = text(volume, "name");
        if required(errors, volume, &path, "name") {
            complain(errors, &path.child("name"), name, names::dns1123_label(name));
        }
        if volumes.contains_key(name) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        if errors.len() == before {
            volumes.insert(name, volume);
        }
        if let Some(claim) = object_at(volume, "persistentVolumeClaim").map(|claim| text(claim, "claimName"))
            && created.contains(claim)
        {
            let source = path.child("persistentVolumeClaim");
            let detail = "must not reference a PVC that gets created for an ephemeral volume";
            errors.push(Error::invalid(&source.child("claimName"), claim, detail));
        }
    }
    volumes
}

fn validate_sources(errors: &mut Errors, volume: &Value, path: &Path<'_>, pod: &str) {
    let mut found = false;
    for (kind, shown) in SOURCES {
        let Some(source) = object_at(volume, kind) else { continue };
        if found {
            let shown = match kind {
                "gcePersistentDisk" => kind,
                "cephfs" => "cephFS",
                "downwardAPI" => "downwarAPI",
                _ => shown,
            };
            errors.push(Error::forbidden(&path.child(shown), "may not specify more than 1 volume type"));
            continue;
        }
        found = true;
        validate_source(errors, kind, source, &path.child(shown));
        if kind == "ephemeral" && !pod.is_empty() && !text(volume, "name").is_empty() {
            let name = text(volume, "name");
            let claim = format!("{pod}-{name}");
            for problem in names::dns1123_subdomain(&claim) {
                let detail = format!("PVC name {claim:?}: {problem}");
                errors.push(Error::invalid(&path.child("name"), name, detail));
            }
        }
        if kind == "iscsi" && at(source, "initiatorName").is_some() {
            let name = text(volume, "name");
            if name.len() + 1 + text(source, "targetPortal").len() > 64 {
                let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if \
                              iscsi.initiatorName is specified.";
                errors.push(Error::invalid(&path.child("name"), name, detail));
            }
        }
    }
    if !found {
        errors.push(Error::required(path, "must specify a volume type"));
    }
}

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// The specification of a PersistentVolumeClaim, in a claim as in every template of one.
pub(crate) fn validate_claim_spec(errors: &mut Errors, spec: &Value, path: &Path<'_>) {
    let modes = path.child("accessModes");
    if items(spec, "accessModes").next().is_none() {
        errors.push(Error::required(&modes, "at least 1 access mode is required"));
    }
    label_selector(errors, &path.child("selector"), spec.get("selector"));
    for mode in texts(spec, "accessModes") {
        supported(errors, &modes, mode, &ACCESS_MODES);
    }
    let is_single = |mode: &&str| *mode == "ReadWriteOncePod";
    let shared = |mode: &&str| ACCESS_MODES[..3].contains(mode);
    if texts(spec, "accessModes").any(|m| is_single(&m)) && texts(spec, "accessModes").any(|m| shared(&m)) {
        errors.push(Error::forbidden(&modes, "may not use ReadWriteOncePod with other access modes"));
    }
    let resources = path.child("resources");
    let storage = resources.key("storage");
    match spec.pointer("/resources/requests/storage").and_then(Value::as_str) {
        None => errors.push(Error::required(&storage, "")),
        Some(size) if size.parse::<Quantity>().is_ok_and(|size| size.is_zero() || size.is_negative()) => {
            errors.push(Error::invalid(&storage, size, "must be greater than zero"));
        }
        Some(size) => validate_quantity(errors, &storage, "storage", size),
    }
    class_name(errors, spec, path, "storageClassName");
    if let Some(mode) = at(spec, "volumeMode").and_then(Value::as_str) {
        supported(errors, &path.child("volumeMode"), mode, &["Block", "Filesystem"]);
    }
    let (source, reference) = (object_at(spec, "dataSource"), object_at(spec, "dataSourceRef"));
    for (field, source) in [("dataSource", source), ("dataSourceRef", reference)] {
        if let Some(source) = source {
            validate_data_source(errors, source, &path.child(field));
        }
    }
    if let (Some(source), Some(reference)) = (source, reference) {
        let detail = if !text(reference, "namespace").is_empty() {
            "may not be specified when dataSourceRef.namespace is specified"
        } else if ["kind", "name", "apiGroup"].iter().any(|f| text(source, f) != text(reference, f)) {
            "must match dataSourceRef"
        } else {
            ""
        };
        if !detail.is_empty() {
            errors.push(Error::invalid(path, path.child("dataSource").to_string(), detail));
        }
    }
    class_name(errors, spec, path, "volumeAttributesClassName");
}

fn class_name(errors: &mut Errors, spec: &Value, path: &Path<'_>, field: &str) {
    let name = text(spec, field);
    if !name.is_empty() {
        complain(errors, &path.child(field), name, names::dns1123_subdomain(name));
    }
}

fn validate_data_source(errors: &mut Errors, source: &Value, path: &Path<'_>) {
    required(errors, source, path, "name");
    required(errors, source, path, "kind");
    let (group, kind) = (text(source, "apiGroup"), text(source, "kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(Error::invalid(path, kind, detail));
    }
    if !group.is_empty() {
        complain(errors, &path.child("apiGroup"), group, names::dns1123_subdomain(group));
    }
    let namespace = text(source, "namespace");
    if !namespace.is_empty() {
        complain(errors, &path.child("namespace"), namespace, names::dns1123_label(namespace));
    }
}
