//! What is to be said of volumes: those of pods, those of the cluster, and the claims to them.

use serde_json::Value;
use windlass_api::Quantity;
use windlass_api::well_known::annotation;
use windlass_machinery::tree::{items, text};

use super::found::Found;
use super::node_labels::of_node_selector_term;

/// Kinds that should be used no longer.
const OLD_VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Of a PersistentVolume.
pub(crate) fn of_volume(volume: &Value) -> Vec<String> {
    let (mut found, spec) = (Found::default(), &volume["spec"]);
    for (key, since, field) in
        [(annotation::STORAGE_CLASS, "v1.8", "storageClassName"), (annotation::MOUNT_OPTIONS, "v1.31", "mountOptions")]
    {
        if volume["metadata"]["annotations"].get(key).is_some() {
            let what = format!("deprecated since {since}; use {field:?} attribute instead");
            found.say(format!("metadata.annotations[{key}]: {what}"));
        }
    }
    if text(spec, "persistentVolumeReclaimPolicy") == "Recycle" {
        let what = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.";
        found.say(format!("spec.persistentVolumeReclaimPolicy: {what}"));
    }
    for (index, term) in items(&spec["nodeAffinity"]["required"], "nodeSelectorTerms").enumerate() {
        let path = format!("spec.nodeAffinity.required.nodeSelectorTerms[{index}]");
        of_node_selector_term(&mut found, term, &path, false);
    }
    of_kinds(&mut found, spec, "spec", &["cephfs", "photonPersistentDisk", "scaleIO", "storageos", "glusterfs", "rbd"]);
    found.0
}

/// Of the specification of a claim: what it asks for, and what it may get at most.
pub(crate) fn of_claim(spec: &Value, path: &str) -> Vec<String> {
    let mut found = Found::default();
    for list in ["requests", "limits"] {
        fraction(&mut found, &spec["resources"][list], "storage", &format!("{path}.resources.{list}"));
    }
    found.0
}

/// Says that there are no parts of bytes.
pub(super) fn fraction(found: &mut Found, list: &Value, resource: &str, path: &str) {
    let Some(Ok(quantity)) = list.get(resource).and_then(Value::as_str).map(str::parse::<Quantity>) else { return };
    if quantity.milli() % 1000 != 0 {
        let value = text(list, resource);
        found.say(format!("{path}[{resource}]: fractional byte value {value:?} is invalid, must be an integer"));
    }
}

/// Of a volume of a pod.
pub(super) fn of_pod_volume(found: &mut Found, volume: &Value, path: &str) {
    of_kinds(found, volume, path, &OLD_VOLUMES.map(|(kind, _)| kind));
    if let Some(claim) = volume.pointer("/ephemeral/volumeClaimTemplate/spec") {
        found.extend(of_claim(claim, &format!("{path}.ephemeral.volumeClaimTemplate.spec")));
    }
}

/// Of these kinds, when a volume is of one.
fn of_kinds(found: &mut Found, volume: &Value, path: &str, kinds: &[&str]) {
    for (kind, what) in kinds.iter().filter_map(|kind| OLD_VOLUMES.iter().find(|(old, _)| old == kind)) {
        if volume.get(*kind).is_some_and(Value::is_object) {
            // The Go structure has another name for it than JSON.
            let name = if *kind == "storageos" { "storageOS" } else { kind };
            found.say(format!("{path}.{name}: {what}"));
        }
    }
}
