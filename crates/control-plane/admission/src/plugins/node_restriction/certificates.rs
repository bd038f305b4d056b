//! Requests for certificates: a kubelet asks for its own, and for those of pods that are bound to it.

use std::sync::Arc;

use serde_json::Value;
use windlass_api::Status;
use windlass_api::pod::tree::is_mirror;
use windlass_api::status::Reason;
use windlass_api::text::quoted;
use windlass_api::well_known::user;
use windlass_auth::Attributes;
use windlass_machinery::tree::{items, text};

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

/// A PodCertificateRequest: it must be for a pod on the node, in all that it says of it. What is only not known yet, or no longer, is no
/// refusal: the kubelet tries again.
pub(super) fn check_of_pod(review: &Review<'_>, node: &str, cluster: &dyn Cluster) -> Result<(), Status> {
    let refuse = |why: String| Err(review.forbidden(why));
    if review.operation != Operation::Create {
        return refuse(format!("unexpected operation {}", review.operation.name()));
    }
    if !review.subresource.is_empty() {
        return refuse(format!("unexpected subresource {}", review.subresource));
    }
    let Some(spec) = review.object.as_deref().map(|request| &request["spec"]) else { return Ok(()) };
    let said = text(spec, "nodeName");
    if said != node {
        return refuse(format!(
            "PodCertificateRequest.Spec.NodeName={}, which is not the requesting node {}",
            quoted(said),
            quoted(node)
        ));
    }
    let named = Named { cluster, spec };
    let who = quoted(&format!("{}/{}", review.namespace, text(spec, "podName")));
    let uid = named.find("nodes", "", "nodeName", "node")?.uid;
    named.same_uid("nodeUID", &uid, |said| {
        format!(
            "PodCertificateRequest for pod {who} names node UID {said}, inconsistent with the running node ({})",
            quoted(&uid)
        )
    })?;
    let Found { object: pod, uid } = named.find("pods", review.namespace, "podName", "pod")?;
    named.same_uid("podUID", &uid, |said| {
        format!(
            "PodCertificateRequest for pod {who} contains pod UID ({said}) which differs from running pod {}",
            quoted(&uid)
        )
    })?;
    if text(&pod["spec"], "nodeName") != node {
        return refuse(format!("pod {who} is not running on node {} named in the PodCertificateRequest", quoted(node)));
    }
    if is_mirror(&pod) {
        return refuse(format!("pod {who} is a mirror pod"));
    }
    let (account, own) = (text(spec, "serviceAccountName"), text(&pod["spec"], "serviceAccountName"));
    if account != own {
        return refuse(format!(
            "PodCertificateRequest for pod {who} contains serviceAccountName ({}) that differs from running pod ({})",
            quoted(account),
            quoted(own)
        ));
    }
    let uid = named.find("serviceaccounts", review.namespace, "serviceAccountName", "service account")?.uid;
    named.same_uid("serviceAccountUID", &uid, |said| {
        format!(
            "PodCertificateRequest for pod {who} names service account UID {said}, which differs from the running service account ({})",
            quoted(&uid)
        )
    })?;
    let signer = text(spec, "signerName");
    if mounts(&pod, signer) || may_request(review, cluster, signer, account) {
        return Ok(());
    }
    refuse(format!("pod {who} does not mount a podCertificate projected volume for signer {}", quoted(signer)))
}

/// What a request names beside itself.
struct Named<'a> {
    cluster: &'a dyn Cluster,
    spec: &'a Value,
}

struct Found {
    object: Arc<Value>,
    uid: String,
}

impl Named<'_> {
    fn find(&self, table: &str, namespace: &str, field: &str, what: &str) -> Result<Found, Status> {
        let name = text(self.spec, field);
        let object = self.cluster.object(table, namespace, name).ok_or_else(|| {
            let shown = if namespace.is_empty() { quoted(name) } else { quoted(&format!("{namespace}/{name}")) };
            let kind = table.trim_end_matches('s');
            failed(format!(
                "while retrieving {what} {shown} named in the PodCertificateRequest: {kind} {} not found",
                quoted(name)
            ))
        })?;
        let uid = text(&object["metadata"], "uid").to_owned();
        Ok(Found { object, uid })
    }

    fn same_uid(&self, field: &str, uid: &str, why: impl FnOnce(String) -> String) -> Result<(), Status> {
        let said = text(self.spec, field);
        if said == uid { Ok(()) } else { Err(failed(why(quoted(said)))) }
    }
}

/// An error without a reason, as upstream's are that wrap another one.
fn failed(why: String) -> Status {
    Status::new(500, Reason::Unknown, why)
}

fn mounts(pod: &Value, signer: &str) -> bool {
    items(&pod["spec"], "volumes").any(|volume| {
        items(&volume["projected"], "sources").any(|source| text(&source["podCertificate"], "signerName") == signer)
    })
}

fn may_request(review: &Review<'_>, cluster: &dyn Cluster, signer: &str, account: &str) -> bool {
    // RBAC cannot name resources with slashes.
    let resource = signer.replace('/', ":");
    cluster.may(&Attributes {
        group: &review.resource.group,
        version: &review.resource.version,
        resource: &resource,
        namespace: review.namespace,
        name: account,
        ..Attributes::of(review.user, "request-serviceaccounts-podcertificate-signer")
    })
}
