//! What neither webhooks nor policies are asked about, so that what they break can be mended.
//!
//! Source: apiserver `pkg/admission/plugin/webhook/predicates/rules` and `policy/generic/plugin.go`.

use windlass_resources::VIRTUAL_RESOURCES;

use crate::review::Review;

const GROUP: &str = "admissionregistration.k8s.io";
const POLICIES: [&str; 4] = [
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];
const WEBHOOKS: [&str; 2] = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];

/// Whether no webhook is asked about a write: of the configuration of admission, or of a question about somebody's rights.
pub fn is_exempt(review: &Review<'_>) -> bool {
    is_exempt_from_policies(review) || is_of_admission(review, &WEBHOOKS)
}

/// Whether no policy is asked about a write. Policies may be about webhooks.
pub fn is_exempt_from_policies(review: &Review<'_>) -> bool {
    let resource = review.resource;
    let is_it = |one: &windlass_api::GroupResource| one.group == resource.group && one.resource == resource.resource;
    is_of_admission(review, &POLICIES) || VIRTUAL_RESOURCES.iter().any(is_it)
}

fn is_of_admission(review: &Review<'_>, resources: &[&str]) -> bool {
    review.resource.group == GROUP && resources.contains(&&*review.resource.resource)
}
