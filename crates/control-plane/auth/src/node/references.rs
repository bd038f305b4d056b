//! What a pod refers to, so that its kubelet has to read it.

use std::collections::BTreeSet;

use serde_json::Value;

/// Something that is referred to: resource, namespace, name.
pub(super) type Reference = (&'static str, String, String);

/// Where volumes name the secret with which a kubelet mounts them, as pointers into a PersistentVolume.
pub(super) const SECRETS_OF_VOLUMES: [&str; 9] = [
    "/spec/csi/nodePublishSecretRef",
    "/spec/csi/nodeStageSecretRef",
    "/spec/csi/nodeExpandSecretRef",
    "/spec/cephfs/secretRef",
    "/spec/flexVolume/secretRef",
    "/spec/iscsi/secretRef",
    "/spec/rbd/secretRef",
    "/spec/scaleIO/secretRef",
    "/spec/storageos/secretRef",
];

/// The same in a pod's volumes, whose secrets are in the pod's namespace.
const SECRETS_OF_POD_VOLUMES: [&str; 9] = [
    "/secret/secretName",
    "/azureFile/secretName",
    "/csi/nodePublishSecretRef/name",
    "/cephfs/secretRef/name",
    "/flexVolume/secretRef/name",
    "/iscsi/secretRef/name",
    "/rbd/secretRef/name",
    "/scaleIO/secretRef/name",
    "/storageos/secretRef/name",
];

/// Everything that a pod's kubelet may read because of it. A mirror pod leads nowhere: its kubelet has made it.
pub(super) fn of_pod(pod: &Value, namespace: &str, name: &str) -> BTreeSet<Reference> {
    let mut references = BTreeSet::new();
    if windlass_api::pod::tree::is_mirror(pod) {
        return references;
    }
    let mut add = |resource: &'static str, name: Option<&Value>| {
        if let Some(name) = name.and_then(Value::as_str).filter(|name| !name.is_empty()) {
            references.insert((resource, namespace.to_owned(), name.to_owned()));
        }
    };
    let spec = &pod["spec"];
    add("serviceaccounts", spec.get("serviceAccountName"));
    for secret in list(spec, "/imagePullSecrets") {
        add("secrets", secret.get("name"));
    }
    for containers in ["/containers", "/initContainers", "/ephemeralContainers"] {
        for container in list(spec, containers) {
            for env in list(container, "/envFrom") {
                add("configmaps", env.pointer("/configMapRef/name"));
                add("secrets", env.pointer("/secretRef/name"));
            }
            for env in list(container, "/env") {
                add("configmaps", env.pointer("/valueFrom/configMapKeyRef/name"));
                add("secrets", env.pointer("/valueFrom/secretKeyRef/name"));
            }
        }
    }
    for volume in list(spec, "/volumes") {
        SECRETS_OF_POD_VOLUMES.iter().for_each(|pointer| add("secrets", volume.pointer(pointer)));
        add("configmaps", volume.pointer("/configMap/name"));
        add("persistentvolumeclaims", volume.pointer("/persistentVolumeClaim/claimName"));
        if volume.get("ephemeral").is_some_and(|ephemeral| !ephemeral.is_null()) {
            let claim = format!("{name}-{}", volume["name"].as_str().unwrap_or_default());
            add("persistentvolumeclaims", Some(&Value::from(claim)));
        }
        for source in list(volume, "/projected/sources") {
            add("configmaps", source.pointer("/configMap/name"));
            add("secrets", source.pointer("/secret/name"));
        }
    }
    for claim in list(spec, "/resourceClaims") {
        add("resourceclaims", claim.get("resourceClaimName"));
    }
    for claim in list(&pod["status"], "/resourceClaimStatuses") {
        add("resourceclaims", claim.get("resourceClaimName"));
    }
    add("resourceclaims", pod.pointer("/status/extendedResourceClaimStatus/resourceClaimName"));
    references
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}
