//! `flowcontrol.apiserver.k8s.io/v1`: priority and fairness of requests.

mod defaults;
pub(crate) mod flow_schema;
mod mandatory;
pub(crate) mod priority_level_configuration;
mod validation;

pub use defaults::fixed;
