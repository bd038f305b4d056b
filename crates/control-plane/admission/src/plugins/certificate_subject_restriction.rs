//! CertificateSubjectRestriction: nobody asks for a client certificate of the group `system:masters`, which may do everything.

use async_trait::async_trait;
use windlass_api::Status;
use windlass_api::well_known::group::MASTERS;
use windlass_machinery::tree::text;

use super::requested_certificate;
use crate::chain::Plugin;
use crate::review::{Cluster, Operation, Review};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client";

pub(super) struct CertificateSubjectRestriction;

#[async_trait]
impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    async fn validate(&self, review: &Review<'_>, _cluster: &dyn Cluster) -> Result<(), Status> {
        if review.operation != Operation::Create || !review.is_of("certificates.k8s.io", "certificatesigningrequests") {
            return Ok(());
        }
        let Some(spec) = review.object.as_deref().map(|request| &request["spec"]) else { return Ok(()) };
        if text(spec, "signerName") != SIGNER {
            return Ok(());
        }
        let Some(wanted) = review.object.as_deref().and_then(requested_certificate) else {
            return Err(review.forbidden("failed to parse certificate request"));
        };
        if wanted.organizations.iter().any(|organization| organization == MASTERS) {
            return Err(review.forbidden(format!("use of {SIGNER} signer with {MASTERS} group is not allowed")));
        }
        Ok(())
    }
}
