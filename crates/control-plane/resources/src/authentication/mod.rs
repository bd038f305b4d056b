//! `authentication.k8s.io/v1`: who asks.

pub(crate) mod self_subject_review;
pub(crate) mod token_review;
