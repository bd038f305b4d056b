//! CertificateSigning: who writes the certificate of a request must have the right to sign for its signer.

use async_trait::async_trait;
use serde_json::Value;
use windlass_api::Status;

use super::of_signer;
use crate::chain::Plugin;
use crate::review::{Cluster, Review};
use crate::signers::may_for_signer;

pub(super) struct CertificateSigning;

#[async_trait]
impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    async fn validate(&self, review: &Review<'_>, cluster: &dyn Cluster) -> Result<(), Status> {
        let Some(signer) = of_signer(review, "status") else { return Ok(()) };
        let certificate = |request: Option<&Value>| request.and_then(|it| it.pointer("/status/certificate")).cloned();
        let conditions = |request: Option<&Value>| request.and_then(|it| it.pointer("/status/conditions")).cloned();
        let (new, old) = (review.object.as_deref(), review.old);
        // Others may write other parts of the status.
        if certificate(new) == certificate(old) && conditions(new) == conditions(old) {
            return Ok(());
        }
        if may_for_signer(review.user, cluster, "sign", signer) {
            return Ok(());
        }
        Err(review.forbidden(format!("user not permitted to sign requests with signerName {signer:?}")))
    }
}
