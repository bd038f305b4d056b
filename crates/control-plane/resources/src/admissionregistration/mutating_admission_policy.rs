//! MutatingAdmissionPolicy: changes to writes, as expressions.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies")
        .categories(&["api-extensions"])
        .counts_generations()
}
