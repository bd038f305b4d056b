//! A kubelet's own Node: it may not give itself labels, taints or owners that would attract pods, or keep them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use windlass_api::well_known::label;

use super::{Verdict, object_name};
use crate::review::Review;

/// Labels below kubernetes.io that a kubelet may set on its Node.
const ALLOWED: [&str; 11] = [
    label::HOSTNAME,
    label::OS,
    label::ARCH,
    label::BETA_OS,
    label::BETA_ARCH,
    label::ZONE,
    label::REGION,
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
];
const ALLOWED_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
const RESTRICTED_DOMAIN: &str = "node-restriction.kubernetes.io";

pub(super) fn check(review: &Review<'_>, node: &str) -> Verdict {
    if object_name(review) != node {
        return Err(format!("node {node:?} is not allowed to modify node {:?}", object_name(review)));
    }
    let Some(new) = review.object.as_deref() else { return Ok(()) };
    let source = |node: &Value| node["spec"].get("configSource").filter(|source| !source.is_null()).cloned();
    let restricted = restricted_changes(review.old, new);
    let Some(old) = review.old else {
        if source(new).is_some() {
            return Err(format!("node {node:?} is not allowed to create pods with a non-nil configSource"));
        }
        if !restricted.is_empty() {
            return Err(format!("node {node:?} is not allowed to set the following labels: {}", restricted.join(", ")));
        }
        return Ok(());
    };
    if source(new).is_some() && source(new) != source(old) {
        return Err(format!("node {node:?} is not allowed to update configSource to a new non-nil configSource"));
    }
    for (object, field) in [("spec", "taints"), ("metadata", "ownerReferences")] {
        let of = |node: &Value| node[object].get(field).filter(|list| **list != Value::Array(Vec::new())).cloned();
        if of(new) != of(old) {
            return Err(format!("node {node:?} is not allowed to modify {field}"));
        }
    }
    if !restricted.is_empty() {
        return Err(format!("is not allowed to modify labels: {}", restricted.join(", ")));
    }
    Ok(())
}

/// Labels that were added, changed or removed and are not the kubelet's to set.
fn restricted_changes(old: Option<&Value>, new: &Value) -> Vec<String> {
    let empty = Map::new();
    let labels = |node: Option<&Value>| -> Map<String, Value> {
        node.and_then(|node| node["metadata"]["labels"].as_object()).unwrap_or(&empty).clone()
    };
    let (before, after) = (labels(old), labels(Some(new)));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = all.into_iter().filter(|key| before.get(*key) != after.get(*key));
    changed.filter(|key| is_restricted(key)).cloned().collect()
}

/// Whether a label below kubernetes.io or k8s.io is none that kubelets set.
fn is_restricted(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    let is_in = |parent: &str| domain == parent || domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'));
    if is_in(RESTRICTED_DOMAIN) {
        return true;
    }
    let ours = is_in("kubernetes.io") || is_in("k8s.io");
    ours && !ALLOWED.contains(&key) && !ALLOWED_DOMAINS.iter().any(|allowed| is_in(allowed))
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
            ("x.node.kubernetes.io/y", false),
            ("xnode.kubernetes.io/y", true),
            ("node-role.kubernetes.io/control-plane", true),
            ("node-restriction.kubernetes.io/x", true),
            ("a.node-restriction.kubernetes.io/x", true),
            ("x.k8s.io/y", true),
        ] {
            assert_eq!(is_restricted(key), restricted, "{key}");
        }
    }
}
