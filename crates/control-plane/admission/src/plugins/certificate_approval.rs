//! CertificateApproval: who approves a request for a certificate must have the right to approve for its signer.

use async_trait::async_trait;
use windlass_api::Status;

use super::of_signer;
use crate::chain::Plugin;
use crate::review::{Cluster, Review};
use crate::signers::may_for_signer;

pub(super) struct CertificateApproval;

#[async_trait]
impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(signer) = of_signer(review, "approval") else { return Ok(()) };
        if may_for_signer(review.user, cluster, "approve", signer) {
            return Ok(());
        }
        Err(review.forbidden(format!("user not permitted to approve requests with signerName {signer:?}")))
    }
}
