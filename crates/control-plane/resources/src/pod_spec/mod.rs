//! The specification of pods, in a Pod as in every template of one.

mod defaults;
mod pod_level_resources;
pub(crate) mod preparation;
pub(crate) mod validation;
pub(crate) mod warnings;

pub(crate) use defaults::{set_claim_spec_defaults, set_pod_defaults, set_source_defaults, set_template_defaults};
pub(crate) use pod_level_resources::set_pod_level_resources;
