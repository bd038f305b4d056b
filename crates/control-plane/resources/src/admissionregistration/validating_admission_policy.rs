//! ValidatingAdmissionPolicy: rules for writes, as expressions.

use crate::{Resource, Subresource};

pub(crate) fn resource() -> Resource {
    Resource::cluster("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
        .categories(&["api-extensions"])
        .subresources(&[Subresource::Status])
        .counts_generations()
}
