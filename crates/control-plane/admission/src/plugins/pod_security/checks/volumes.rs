//! Volumes: paths of the host, and sources that belong into PersistentVolumes.

use serde_json::Value;

use super::wording::{Sorted, plural, quoted, quoted_set};
use super::{Check, Pod, Violation, given, name};

pub(super) const HOST_PATHS: Check = Check::new("hostPathVolumes", &[(0, host_paths)]);
pub(super) const RESTRICTED: Check = Check::new("restrictedVolumes", &[(0, restricted)]).instead_of("hostPathVolumes");

const ALLOWED: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Every other source that there has been.
const KNOWN: [&str; 21] = [
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

fn volumes(pod: Pod<'_>) -> impl Iterator<Item = &Value> {
    pod.spec["volumes"].as_array().into_iter().flatten()
}

fn named(names: &[&str]) -> String {
    format!("{} {}", plural("volume", "volumes", names.len()), quoted(names.iter().copied()))
}

fn host_paths(pod: Pod<'_>) -> Option<Violation> {
    let bad: Vec<&str> = volumes(pod).filter(|volume| given(volume, "hostPath").is_some()).map(name).collect();
    (!bad.is_empty()).then(|| Violation::new("hostPath volumes", named(&bad)))
}

fn restricted(pod: Pod<'_>) -> Option<Violation> {
    let has = |volume: &Value, source: &str| given(volume, source).is_some();
    let bad: Vec<&Value> = volumes(pod).filter(|volume| !ALLOWED.iter().any(|source| has(volume, source))).collect();
    let source = |volume: &Value| KNOWN.iter().find(|source| has(volume, source)).map_or("unknown", |source| *source);
    let sources: Sorted = bad.iter().map(|volume| source(volume).to_owned()).collect();
    let names: Vec<&str> = bad.iter().map(|volume| name(volume)).collect();
    let detail = || {
        let (verb, count) = (plural("uses", "use", names.len()), sources.len());
        let what = plural("restricted volume type", "restricted volume types", count);
        format!("{} {verb} {what} {}", named(&names), quoted_set(&sources))
    };
    (!bad.is_empty()).then(|| Violation::new("restricted volume types", detail()))
}
