//! Requests for certificates: a kubelet asks for its own, and for those of pods that are bound to it.

use windlass_api::well_known::user;
use windlass_auth::Attributes;
use windlass_machinery::tree::{items, text};

use windlass_api::pod::tree::is_mirror;

use super::super::requested_certificate;
use super::Verdict;
use crate::review::{Cluster, Operation, Review};

const OF_KUBELETS: [&str; 2] = ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];

/// A CertificateSigningRequest.
pub(super) fn check(review: &Review<'_>, node: &str) -> Verdict {
    let Some(request) = review.object.as_deref().filter(|_| review.operation == Operation::Create) else {
        return Ok(());
    };
    if !OF_KUBELETS.contains(&text(&request["spec"], "signerName")) {
        return Ok(());
    }
    let wanted = requested_certificate(request).ok_or("unable to parse csr")?;
    let expected = user::of_node(node);
    if wanted.common_name == expected { Ok(()) } else { Err(format!("can only create a node CSR with CN={expected}")) }
}

/// A PodCertificateRequest: it must be for a pod on the node, in all that it says of it.
pub(super) fn check_of_pod(review: &Review<'_>, node: &str, cluster: &dyn Cluster) -> Verdict {
    if review.operation != Operation::Create {
        return Err(format!("unexpected operation {}", review.operation.name()));
    }
    if !review.subresource.is_empty() {
        return Err(format!("unexpected subresource {}", review.subresource));
    }
    let Some(spec) = review.object.as_deref().map(|request| &request["spec"]) else { return Ok(()) };
    let namespace = review.namespace;
    let find = |table: &str, namespace: &str, name: &str| {
        cluster.object(table, namespace, name).ok_or_else(|| format!("{table} {name:?} not found"))
    };
    if text(spec, "nodeName") != node {
        return Err(format!(
            "PodCertificateRequest.Spec.NodeName={:?}, which is not the requesting node {node:?}",
            text(spec, "nodeName")
        ));
    }
    let name = text(spec, "podName");
    let pod = find("pods", namespace, name)?;
    let who = format!("{namespace}/{name}");
    if text(&pod["spec"], "nodeName") != node {
        return Err(format!("pod {who:?} is not running on node {node:?} named in the PodCertificateRequest"));
    }
    if is_mirror(&pod) {
        return Err(format!("pod {who:?} is a mirror pod"));
    }
    let account = text(spec, "serviceAccountName");
    if account != text(&pod["spec"], "serviceAccountName") {
        return Err(format!(
            "PodCertificateRequest for pod {who:?} contains serviceAccountName ({account:?}) that differs from running pod"
        ));
    }
    let owners = [
        (find("nodes", "", node)?, "nodeUID"),
        (pod.clone(), "podUID"),
        (find("serviceaccounts", namespace, account)?, "serviceAccountUID"),
    ];
    for (object, field) in owners {
        let (said, uid) = (text(spec, field), text(&object["metadata"], "uid"));
        if said != uid {
            return Err(format!(
                "PodCertificateRequest for pod {who:?} names {field} {said:?}, inconsistent with {uid:?}"
            ));
        }
    }
    let signer = text(spec, "signerName");
    let mounts = items(&pod["spec"], "volumes").any(|volume| {
        items(&volume["projected"], "sources").any(|source| text(&source["podCertificate"], "signerName") == signer)
    });
    // RBAC cannot name resources with slashes.
    let resource = signer.replace('/', ":");
    let may = || {
        cluster.may(&Attributes {
            group: &review.resource.group,
            version: &review.resource.version,
            resource: &resource,
            namespace,
            name: account,
            ..Attributes::of(review.user, "request-serviceaccounts-podcertificate-signer")
        })
    };
    if mounts || may() {
        return Ok(());
    }
    Err(format!("pod {who:?} does not mount a podCertificate projected volume for signer {signer:?}"))
}
