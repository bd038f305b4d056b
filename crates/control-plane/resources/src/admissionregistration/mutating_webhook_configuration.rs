//! MutatingWebhookConfiguration: services that may change writes.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    )
    .categories(&["api-extensions"])
    .counts_generations()
}
