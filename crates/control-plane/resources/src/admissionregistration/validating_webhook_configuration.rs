//! ValidatingWebhookConfiguration: services that may refuse writes.

use crate::Resource;

pub(crate) fn resource() -> Resource {
    Resource::cluster(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    )
    .categories(&["api-extensions"])
    .counts_generations()
}
