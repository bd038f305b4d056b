//! Which writes a webhook or a policy is about.
//!
//! [`Matcher`] is what the configuration says of it, compiled: rules, selectors of labels, names, exclusions. [`Followed`] keeps what is
//! compiled of the objects of a table until the table changes. What expressions say beyond (`matchConditions`) stands in
//! [`expressions`](crate::expressions).
//!
//! Source: apiserver `pkg/admission/plugin/policy/matching` and `webhook/{generic,predicates}`.

mod followed;
mod matcher;
mod rule;
#[cfg(test)]
mod tests;

pub use followed::{All, Followed};
pub use matcher::{Matched, Matcher};

use crate::review::Review;

/// Whether a write is of the configuration of admission itself. Neither webhooks nor policies are asked about it, so that what they break
/// can be mended.
pub fn is_exempt(review: &Review<'_>) -> bool {
    const KINDS: [&str; 6] = [
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    ];
    review.kind.group == "admissionregistration.k8s.io" && KINDS.contains(&&*review.kind.kind)
}
