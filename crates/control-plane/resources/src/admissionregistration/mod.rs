//! `admissionregistration.k8s.io/v1`: webhooks and policies for writes.

mod defaults;
mod match_conditions;
mod match_resources;
pub(crate) mod mutating_admission_policy;
pub(crate) mod mutating_admission_policy_binding;
mod mutating_policy_validation;
pub(crate) mod mutating_webhook_configuration;
mod param_reads;
mod param_validation;
mod policy_status_validation;
mod policy_validation;
mod rule_validation;
mod static_suffix;
pub(crate) mod validating_admission_policy;
pub(crate) mod validating_admission_policy_binding;
mod validating_policy_validation;
pub(crate) mod validating_webhook_configuration;
mod webhook_validation;
mod webhook_warnings;

use windlass_api::GroupResource;

/// Questions about who somebody is and what they may do. Neither webhooks nor policies are asked about them, for a cluster must go on
/// answering them.
///
/// Source: upstream `pkg/kubeapiserver/admission/exclusion/resources.go`.
pub static VIRTUAL_RESOURCES: [GroupResource; 6] = [
    GroupResource::of("authentication.k8s.io", "selfsubjectreviews"),
    GroupResource::of("authentication.k8s.io", "tokenreviews"),
    GroupResource::of("authorization.k8s.io", "localsubjectaccessreviews"),
    GroupResource::of("authorization.k8s.io", "selfsubjectaccessreviews"),
    GroupResource::of("authorization.k8s.io", "selfsubjectrulesreviews"),
    GroupResource::of("authorization.k8s.io", "subjectaccessreviews"),
];
