//! The volumes of a pod, and the claims that some of them are templates of.

use std::collections::BTreeSet;

use serde_json::Value;
use windlass_api::field::{Error, Errors, Path};
use windlass_api::names;
use windlass_machinery::tree::{items, text};

use super::volume_sources::validate_source;
use super::{Subject, Volumes};
use crate::rules::{at, complain, object_at, required};

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
