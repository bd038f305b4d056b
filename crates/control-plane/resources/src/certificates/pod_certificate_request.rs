//! PodCertificateRequest: a certificate that a pod is to get.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::namespaced("certificates.k8s.io", "v1", "PodCertificateRequest", "podcertificaterequests")
        .subresources(&[Subresource::Status])
}
