//! CertificateSigningRequest: a certificate that is to be approved and issued.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests")
        .short_names(&["csr"])
        .subresources(&[Subresource::Approval, Subresource::Status])
        .counts_generations()
}
