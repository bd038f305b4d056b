//! CertificateSubjectRestriction: nobody asks for a client certificate of the group `system:masters`, which may do everything.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use windlass_api::Status;
use windlass_api::well_known::group::MASTERS;
use windlass_machinery::tree::text;
use windlass_pki::CertificateRequest;

use super::forbidden;
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
        let wanted =
            STANDARD.decode(text(spec, "request")).ok().and_then(|pem| CertificateRequest::from_pem(&pem).ok());
        let Some(wanted) = wanted else { return Err(forbidden(review, "failed to parse certificate request")) };
        if wanted.organizations.iter().any(|organization| organization == MASTERS) {
            return Err(forbidden(review, format!("use of {SIGNER} signer with {MASTERS} group is not allowed")));
        }
        Ok(())
    }
}
