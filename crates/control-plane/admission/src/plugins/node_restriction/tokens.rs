//! Tokens of service accounts: a kubelet gets them for a pod that is bound to it, and for an audience that the pod mounts.

use serde_json::Value;
use windlass_auth::Attributes;
use windlass_machinery::tree::{items, text};

use super::Verdict;
use crate::review::{Cluster, Operation, Review};

pub(super) fn check(review: &Review<'_>, node: &str, cluster: &dyn Cluster) -> Verdict {
    let (Operation::Create, "token", Some(request)) = (review.operation, review.subresource, review.object.as_deref())
    else {
        return Ok(());
    };
    let bound = &request["spec"]["boundObjectRef"];
    let name = text(bound, "name");
    if (text(bound, "apiVersion"), text(bound, "kind")) != ("v1", "Pod") || name.is_empty() {
        return Err("node requested token not bound to a pod".to_owned());
    }
    let uid = text(bound, "uid");
    if uid.is_empty() {
        return Err("node requested token with a pod binding without a uid".to_owned());
    }
    let pod = cluster.object("pods", review.namespace, name).ok_or_else(|| format!("pods {name:?} not found"))?;
    if uid != text(&pod["metadata"], "uid") {
        return Err(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        ));
    }
    if text(&pod["spec"], "nodeName") != node {
        return Err("node requested token bound to a pod scheduled on a different node".to_owned());
    }
    let audiences: Vec<&str> = items(&request["spec"], "audiences").filter_map(Value::as_str).collect();
    let audience = match audiences.as_slice() {
        [] => "",
        [one] => one,
        _ => return Err("node may only request 0 or 1 audiences".to_owned()),
    };
    if mounts(&pod, review.namespace, audience, cluster) || may_request(review, audience, cluster) {
        return Ok(());
    }
    Err(format!("{} is not authorized to request tokens for audience {audience:?}", review.user.name))
}

/// Whether the pod mounts a token for the audience, itself or by the driver of one of its volumes.
fn mounts(pod: &Value, namespace: &str, audience: &str, cluster: &dyn Cluster) -> bool {
    let by_driver = |driver: &str| {
        let driver = cluster.object("csidrivers.storage.k8s.io", "", driver);
        driver.is_some_and(|driver| items(&driver["spec"], "tokenRequests").any(|r| text(r, "audience") == audience))
    };
    let by_claim = |claim: &str| {
        let claim = cluster.object("persistentvolumeclaims", namespace, claim)?;
        let volume = cluster.object("persistentvolumes", "", text(&claim["spec"], "volumeName"))?;
        Some(by_driver(text(&volume["spec"]["csi"], "driver")))
    };
    items(&pod["spec"], "volumes").any(|volume| {
        let projected = items(&volume["projected"], "sources").any(|source| {
            let token = source.get("serviceAccountToken").filter(|token| !token.is_null());
            token.is_some_and(|token| text(token, "audience") == audience)
        });
        let claim = match volume.get("ephemeral").filter(|ephemeral| !ephemeral.is_null()) {
            Some(_) => format!("{}-{}", text(&pod["metadata"], "name"), text(volume, "name")),
            None => text(&volume["persistentVolumeClaim"], "claimName").to_owned(),
        };
        let driver = text(&volume["csi"], "driver");
        projected
            || (!driver.is_empty() && by_driver(driver))
            || (!claim.is_empty() && by_claim(&claim).unwrap_or(false))
    })
}

fn may_request(review: &Review<'_>, audience: &str, cluster: &dyn Cluster) -> bool {
    cluster.may(&Attributes {
        group: &review.resource.group,
        version: &review.resource.version,
        resource: audience,
        namespace: review.namespace,
        name: review.name,
        ..Attributes::of(review.user, "request-serviceaccounts-token-audience")
    })
}
