//! ClusterTrustBundleAttest: who says which certificates a signer's are to be trusted by must have the right to attest for the signer.

use async_trait::async_trait;
use windlass_api::Status;
use windlass_api::text::quoted;
use windlass_machinery::tree::text;

use crate::chain::Plugin;
use crate::deletion::concerns_deletion_only;
use crate::review::{Cluster, Operation, Review};
use crate::signers::may_for_signer;

pub(super) struct ClusterTrustBundleAttest;

#[async_trait]
impl Plugin for ClusterTrustBundleAttest {
    fn name(&self) -> &'static str {
        "ClusterTrustBundleAttest"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let is_write = matches!(review.operation, Operation::Create | Operation::Update);
        if !is_write || !review.is_of("certificates.k8s.io", "clustertrustbundles") {
            return Ok(());
        }
        let Some(bundle) = review.object.as_deref() else { return Ok(()) };
        // An update does not change the signer; validation has seen to that.
        let signer = text(&bundle["spec"], "signerName");
        if signer.is_empty() || review.old.is_some_and(|old| concerns_deletion_only(bundle, old)) {
            return Ok(());
        }
        if may_for_signer(review.user, cluster, "attest", signer) {
            return Ok(());
        }
        Err(review.forbidden(format!("user not permitted to attest for signerName {}", quoted(signer))))
    }
}
