//! `resource.k8s.io/v1`: devices.

mod claim_validation;
mod complaints;
mod configuration_validation;
mod defaults;
pub(crate) mod device_class;
pub(crate) mod device_taint_rule;
mod request_validation;
pub(crate) mod resource_claim;
pub(crate) mod resource_claim_template;
pub(crate) mod resource_slice;
