//! NodeRestriction: a kubelet writes its own Node, its own lease and the pods bound to it, and may not give itself labels
//! that would attract pods.
//!
//! Source: upstream `plugin/pkg/admission/noderestriction`.

use async_trait::async_trait;
use serde_json::{Map, Value};
use windlass_api::Status;
use windlass_api::well_known::label;
use windlass_machinery::tree::text;

use super::{forbidden, is_mirror};
use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

/// Labels below kubernetes.io that a kubelet may set on its Node.
const ALLOWED: [&str; 9] = [
    label::HOSTNAME,
    label::OS,
    label::ARCH,
    label::BETA_OS,
    label::BETA_ARCH,
    label::ZONE,
    label::REGION,
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
];
const ALLOWED_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io/", "node.kubernetes.io/"];

pub(super) struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(node) = review.user.node().map(str::to_owned) else { return Ok(()) };
        let refuse = |why: String| Err(forbidden(review, why));
        match (&*review.resource.group, &*review.resource.resource) {
            ("", "pods") => match pod(review, &node, cluster) {
                Some(why) => refuse(why),
                None => Ok(()),
            },
            ("", "nodes") => match node_object(review, &node) {
                Some(why) => refuse(why),
                None => Ok(()),
            },
            ("coordination.k8s.io", "leases") => {
                let of_node = review.namespace == "kube-node-lease" && object_name(review) == node;
                if of_node {
                    Ok(())
                } else {
                    refuse(format!("can only access node lease with the same name as the requesting node {node:?}"))
                }
            }
            ("storage.k8s.io", "csinodes") if object_name(review) != node => {
                refuse(format!("can only access CSINode with the same name as the requesting node {node:?}"))
            }
            _ => Ok(()),
        }
    }
}

fn object_name(review: &Review<'_>) -> String {
    let of_object = review.object.as_ref().map(|object| text(&object["metadata"], "name").to_owned());
    of_object.filter(|name| !name.is_empty()).unwrap_or_else(|| review.name.to_owned())
}

/// Why the node may not do this to a pod.
fn pod(review: &Review<'_>, node: &str, cluster: &dyn Cluster) -> Option<String> {
    let bound_here = |pod: &Value| text(&pod["spec"], "nodeName") == node;
    match (review.operation, review.subresource) {
        (Operation::Create, "") => {
            let pod = review.object.as_deref()?;
            if !is_mirror(pod) {
                return Some(format!(
                    "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
                ));
            }
            (!bound_here(pod)).then(|| format!("node {node:?} can only create pods with spec.nodeName set to itself"))
        }
        (Operation::Delete, "") => {
            let pod = review.old?;
            (!bound_here(pod)).then(|| format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        (Operation::Create, "eviction") => {
            let pod = cluster.object("pods", review.namespace, review.name)?;
            (!bound_here(&pod)).then(|| format!("node {node} can only evict pods with spec.nodeName set to itself"))
        }
        (Operation::Update, "status") => {
            let pod = review.old?;
            if !bound_here(pod) {
                return Some(format!(
                    "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
                ));
            }
            let labels = |pod: &Value| pod["metadata"].get("labels").cloned();
            let changed = labels(pod) != labels(review.object.as_deref()?);
            changed.then(|| format!("node {node:?} cannot update labels through pod status"))
        }
        (Operation::Update, "") => {
            Some(format!("unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"))
        }
        _ => None,
    }
}

/// Why the node may not do this to a Node.
fn node_object(review: &Review<'_>, node: &str) -> Option<String> {
    if object_name(review) != node {
        return Some(format!("node {node:?} is not allowed to modify node {:?}", object_name(review)));
    }
    let new = review.object.as_deref()?;
    let empty = Map::new();
    let labels = |node: Option<&Value>| -> Map<String, Value> {
        node.and_then(|node| node["metadata"]["labels"].as_object()).unwrap_or(&empty).clone()
    };
    let (before, after) = (labels(review.old), labels(Some(new)));
    let changed = after.iter().filter(|(key, value)| before.get(*key) != Some(value)).map(|(key, _)| key);
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let forbidden: Vec<&str> = changed.chain(gone).map(String::as_str).filter(|key| is_restricted(key)).collect();
    if !forbidden.is_empty() {
        return Some(format!("is not allowed to modify labels: {}", forbidden.join(", ")));
    }
    let taints = |node: &Value| node["spec"].get("taints").cloned();
    match review.old {
        Some(old) if taints(old) != taints(new) => Some(format!("node {node:?} is not allowed to modify taints")),
        Some(_) => None,
        None => (!new["spec"]["configSource"].is_null())
            .then(|| format!("node {node:?} is not allowed to create pods with a non-nil configSource")),
    }
}

/// Whether a label below kubernetes.io or k8s.io is none that kubelets set.
fn is_restricted(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else { return false };
    if prefix == "node-restriction.kubernetes.io" || prefix.ends_with(".node-restriction.kubernetes.io") {
        return true;
    }
    let ours =
        ["kubernetes.io", "k8s.io"].iter().any(|domain| prefix == *domain || prefix.ends_with(&format!(".{domain}")));
    ours && !ALLOWED.contains(&key) && !ALLOWED_PREFIXES.iter().any(|allowed| key.starts_with(allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for (key, restricted) in [
            ("a", false),
            ("example.com/a", false),
            (label::HOSTNAME, false),
            ("node.kubernetes.io/x", false),
            ("node-role.kubernetes.io/control-plane", true),
            ("node-restriction.kubernetes.io/x", true),
            ("x.k8s.io/y", true),
        ] {
            assert_eq!(is_restricted(key), restricted, "{key}");
        }
    }
}
