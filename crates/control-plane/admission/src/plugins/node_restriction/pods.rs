//! Pods: a kubelet creates mirrors of its static pods, deletes and evicts pods that are bound to it, and writes their status.

use serde_json::Value;
use windlass_machinery::tree::{items, text};

use super::Verdict;
use crate::review::{Cluster, Operation, Review};
use windlass_api::pod::tree::is_mirror;

/// Lists of the status that the scheduler and controllers write, and what a kubelet is told when it does.
const NOT_THE_KUBELETS: [(&str, &str); 3] = [
    ("resourceClaimStatuses", "resource claim statues"),
    ("extendedResourceClaimStatus", "extended resource claim status"),
    ("nodeAllocatableResourceClaimStatuses", "node allocatable resource claim statuses"),
];

pub(super) fn check(review: &Review<'_>, node: &str, cluster: &dyn Cluster) -> Verdict {
    match (review.operation, review.subresource) {
        (Operation::Create, "") => review.object.as_deref().map_or(Ok(()), |pod| creation(pod, node, cluster)),
        (Operation::Delete, "") if review.old.is_some_and(|pod| is_bound(pod, node)) => Ok(()),
        (Operation::Delete, "") => Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself")),
        (operation, "") => Err(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            operation.name()
        )),
        (Operation::Update, "status") => match (review.old, review.object.as_deref()) {
            (Some(old), Some(new)) => status(old, new, node),
            _ => Ok(()),
        },
        (Operation::Create, "eviction") => match cluster.object("pods", review.namespace, review.name) {
            Some(pod) if !is_bound(&pod, node) => {
                Err(format!("node {node} can only evict pods with spec.nodeName set to itself"))
            }
            _ => Ok(()),
        },
        (operation, "status" | "eviction") => Err(format!("unexpected operation {:?}", operation.name())),
        (_, other) => Err(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed")),
    }
}

fn is_bound(pod: &Value, node: &str) -> bool {
    text(&pod["spec"], "nodeName") == node
}

/// A mirror pod must be the node's own in every respect, and refer to nothing that the node could read because of it.
fn creation(pod: &Value, node: &str, cluster: &dyn Cluster) -> Verdict {
    if !is_mirror(pod) {
        return Err(format!(
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
        ));
    }
    if !is_bound(pod, node) {
        return Err(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners: Vec<&Value> = items(&pod["metadata"], "ownerReferences").collect();
    let owner = match owners.as_slice() {
        [owner] => owner,
        [] => return Err(format!("node {node:?} can only create pods with an owner reference set to itself")),
        _ => return Err(format!("node {node:?} can only create pods with a single owner reference set to itself")),
    };
    if (text(owner, "apiVersion"), text(owner, "kind"), text(owner, "name")) != ("v1", "Node", node) {
        return Err(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if owner.get("controller") != Some(&Value::Bool(true)) {
        return Err(format!("node {node:?} can only create pods with a controller owner reference set to itself"));
    }
    if owner.get("blockOwnerDeletion") == Some(&Value::Bool(true)) {
        return Err(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let own = cluster.object("nodes", "", node).ok_or_else(|| format!("nodes {node:?} not found"))?;
    let (given, uid) = (text(owner, "uid"), text(&own["metadata"], "uid"));
    if given != uid {
        return Err(format!("node {node} UID mismatch: expected {given} got {uid}"));
    }
    match referenced(&pod["spec"]) {
        Some(resource) => Err(format!("node {node:?} can not create pods that reference {resource}")),
        None => Ok(()),
    }
}

fn status(old: &Value, new: &Value, node: &str) -> Verdict {
    if !is_bound(old, node) {
        return Err(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"));
    }
    let labels = |pod: &Value| {
        pod["metadata"].get("labels").filter(|labels| labels.as_object().is_some_and(|l| !l.is_empty())).cloned()
    };
    if labels(old) != labels(new) {
        return Err(format!("node {node:?} cannot update labels through pod status"));
    }
    for (field, what) in NOT_THE_KUBELETS {
        let of = |pod: &Value| pod["status"].get(field).filter(|value| !value.is_null()).cloned();
        if of(old) != of(new) {
            return Err(format!("node {node:?} cannot update {what}"));
        }
    }
    Ok(())
}

/// Volumes that need nothing of the API.
const WITHOUT_API: [&str; 24] = [
    "awsElasticBlockStore",
    "azureDisk",
    "cephfs",
    "cinder",
    "downwardAPI",
    "emptyDir",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
    "name",
    "kind",
];

/// The first thing of the API that a pod refers to, as its resource.
fn referenced(spec: &Value) -> Option<String> {
    let given = |value: Option<&Value>| value.is_some_and(|value| !value.is_null());
    if !text(spec, "serviceAccountName").is_empty() {
        return Some("serviceaccounts".to_owned());
    }
    let mut of_environment = None;
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(spec, list) {
            let from = items(container, "envFrom").chain(items(container, "env").map(|env| &env["valueFrom"]));
            for source in from {
                if given(source.get("secretRef")) || given(source.get("secretKeyRef")) {
                    return Some("secrets".to_owned());
                }
                if given(source.get("configMapRef")) || given(source.get("configMapKeyRef")) {
                    of_environment = Some("configmaps".to_owned());
                }
            }
        }
    }
    let secret_of =
        |volume: &Value| volume.as_object().into_iter().flatten().any(|(_, source)| given(source.get("secretRef")));
    if items(spec, "imagePullSecrets").next().is_some() || items(spec, "volumes").any(secret_of) {
        return Some("secrets".to_owned());
    }
    if of_environment.is_some() {
        return of_environment;
    }
    if items(spec, "resourceClaims").next().is_some() {
        return Some("resourceclaims".to_owned());
    }
    items(spec, "volumes").find_map(of_volume)
}

fn of_volume(volume: &Value) -> Option<String> {
    let (kind, source) = volume.as_object()?.iter().find(|(kind, source)| *kind != "name" && !source.is_null())?;
    Some(match kind.as_str() {
        kind if WITHOUT_API.contains(&kind) => return None,
        "configMap" => "configmaps (via configmap volumes)".to_owned(),
        "secret" => "secrets (via secret volumes)".to_owned(),
        "csi" => "csidrivers (via CSI volumes)".to_owned(),
        "glusterfs" => "endpoints (via glusterFS volumes)".to_owned(),
        "persistentVolumeClaim" => "persistentvolumeclaims".to_owned(),
        "ephemeral" => "persistentvolumeclaims (via ephemeral volumes)".to_owned(),
        "azureFile" => "secrets (via azureFile volumes)".to_owned(),
        "projected" => return items(source, "sources").find_map(of_projection),
        other => format!("an unknown kind of volume, {other}"),
    })
}

fn of_projection(source: &Value) -> Option<String> {
    let (kind, _) = source.as_object()?.iter().find(|(_, source)| !source.is_null())?;
    Some(match kind.as_str() {
        "downwardAPI" => return None,
        "configMap" => "configmaps (via projected volumes)".to_owned(),
        "secret" => "secrets (via projected volumes)".to_owned(),
        "serviceAccountToken" => "serviceaccounts (via projected volumes)".to_owned(),
        "clusterTrustBundle" => "clustertrustbundles".to_owned(),
        "podCertificate" => "podcertificates".to_owned(),
        other => format!("an unknown projected source, {other}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_of_mirror_pods() {
        let cases = [
            (json!({"containers": [{"name": "c"}], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), None),
            (json!({"serviceAccountName": "sa"}), Some("serviceaccounts")),
            (json!({"imagePullSecrets": [{"name": "s"}]}), Some("secrets")),
            (json!({"containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s"}}}]}]}), Some("secrets")),
            (json!({"initContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]}), Some("configmaps")),
            (json!({"ephemeralContainers": [{"envFrom": [{"secretRef": {"name": "c"}}]}]}), Some("secrets")),
            (json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}), Some("secrets (via secret volumes)")),
            (json!({"volumes": [{"name": "v", "rbd": {"secretRef": {"name": "s"}}}]}), Some("secrets")),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"downwardAPI": {}}, {"secret": {"name": "s"}}]}}]}),
                Some("secrets (via projected volumes)"),
            ),
            (json!({"volumes": [{"name": "v", "projected": {"sources": [{"downwardAPI": {}}]}}]}), None),
            (json!({"resourceClaims": [{"name": "r"}]}), Some("resourceclaims")),
        ];
        for (spec, expected) in cases {
            assert_eq!(referenced(&spec).as_deref(), expected, "{spec}");
        }
    }
}
