//! MutatingAdmissionPolicyBinding: where a MutatingAdmissionPolicy applies.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
    )
    .categories(&["api-extensions"])
    .counts_generations()
}
