//! `certificates.k8s.io/v1`: certificates.

pub(crate) mod certificate_signing_request;
pub(crate) mod cluster_trust_bundle;
mod mail_address;
pub(crate) mod pod_certificate_request;
mod pod_certificate_status;
mod pod_certificate_validation;
mod request_validation;
