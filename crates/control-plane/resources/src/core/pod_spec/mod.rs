//! The specification of pods, in a Pod as in every template of one.

mod defaults;

pub(crate) use defaults::{set_pod_defaults, set_pod_spec_defaults};
