//! NodeRestriction: a kubelet writes its own Node, lease and CSINode, mirror pods and the status of the pods bound to it, and gets
//! tokens for these; nothing that it writes may give it more.
//!
//! Source: upstream `plugin/pkg/admission/noderestriction`.

mod certificates;
mod nodes;
mod pods;
mod tokens;

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::Status;
use windlass_api::well_known::namespace;
use windlass_machinery::tree::{child, remove, text};

use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

pub(super) struct NodeRestriction;

/// Why something is refused.
type Verdict = Result<(), String>;

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    async fn admit(&self, review: &mut Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(node) = review.user.node().map(str::to_owned) else { return Ok(()) };
        if (&*review.resource.group, &*review.resource.resource) == ("certificates.k8s.io", "podcertificaterequests") {
            return certificates::check_of_pod(review, &node, cluster);
        }
        check(review, &node, cluster).map_err(|why| review.forbidden(why))
    }
}

fn check(review: &Review<'_>, node: &str, cluster: &dyn Cluster) -> Verdict {
    match (&*review.resource.group, &*review.resource.resource) {
        ("", "pods") => pods::check(review, node, cluster),
        ("", "nodes") => nodes::check(review, node),
        ("", "persistentvolumeclaims") => claim_status(review, node),
        ("", "serviceaccounts") => tokens::check(review, node, cluster),
        ("coordination.k8s.io", "leases") => lease(review, node),
        ("storage.k8s.io", "csinodes") => csi_node(review, node),
        ("resource.k8s.io", "resourceslices") => resource_slice(review, node),
        ("certificates.k8s.io", "certificatesigningrequests") => certificates::check(review, node),
        _ => Ok(()),
    }
}

/// The name of the object, which a creation has only in the object.
fn object_name<'a>(review: &'a Review<'_>) -> &'a str {
    let of_object = review.object.as_deref().map_or("", |object| text(&object["metadata"], "name"));
    if of_object.is_empty() { review.name } else { of_object }
}

fn lease(review: &Review<'_>, node: &str) -> Verdict {
    if review.namespace != namespace::KUBE_NODE_LEASE {
        return Err(format!("can only access leases in the {:?} system namespace", namespace::KUBE_NODE_LEASE));
    }
    if object_name(review) != node {
        return Err("can only access node lease with the same name as the requesting node".to_owned());
    }
    Ok(())
}

fn csi_node(review: &Review<'_>, node: &str) -> Verdict {
    if object_name(review) == node {
        return Ok(());
    }
    Err("can only access CSINode with the same name as the requesting node".to_owned())
}

/// Updates cannot change the node, which is validated.
fn resource_slice(review: &Review<'_>, node: &str) -> Verdict {
    let (slice, verb) = match review.operation {
        Operation::Create => (review.object.as_deref(), "create"),
        Operation::Delete => (review.old, "delete"),
        Operation::Update | Operation::Connect => return Ok(()),
    };
    if slice.is_some_and(|slice| text(&slice["spec"], "nodeName") == node) {
        return Ok(());
    }
    Err(format!("can only {verb} ResourceSlice with the same NodeName as the requesting node"))
}

/// The kubelet says of a claim how large its volume is by now, and nothing else.
fn claim_status(review: &Review<'_>, node: &str) -> Verdict {
    if review.subresource != "status" {
        return Err("may only update PVC status".to_owned());
    }
    let (Operation::Update, Some(new), Some(old)) = (review.operation, review.object.as_deref(), review.old) else {
        return Err(format!("unexpected operation {:?}", review.operation.name()));
    };
    let rest = |claim: &Value| {
        let mut claim = claim.clone();
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            remove(child(&mut claim, "status"), field);
        }
        for field in ["resourceVersion", "managedFields"] {
            remove(child(&mut claim, "metadata"), field);
        }
        claim
    };
    if rest(new) == rest(old) {
        return Ok(());
    }
    Err(format!("node {node:?} is not allowed to update fields other than status.quantity and status.conditions"))
}
