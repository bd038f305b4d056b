//! Rights over signers of certificates: `sign`, `approve` and `attest` are verbs on `signers`, which are no objects.

use windlass_auth::{Attributes, User};

use crate::review::Cluster;

/// Whether a user has a right over a signer, by its name or by that of its domain (`example.com/*`).
pub fn may_for_signer(user: &User, cluster: &dyn Cluster, verb: &str, signer: &str) -> bool {
    let domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    [signer, &domain].into_iter().any(|name| {
        let (group, version, resource) = ("certificates.k8s.io", "*", "signers");
        cluster.may(&Attributes { group, version, resource, name, ..Attributes::of(user, verb) })
    })
}
