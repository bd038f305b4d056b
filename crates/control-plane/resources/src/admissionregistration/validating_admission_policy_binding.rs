//! ValidatingAdmissionPolicyBinding: where a ValidatingAdmissionPolicy applies.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
    )
    .categories(&["api-extensions"])
    .counts_generations()
}
