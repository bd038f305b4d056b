//! `flowcontrol.apiserver.k8s.io/v1`: priority and fairness of requests.

pub(crate) mod flow_schema;
mod mandatory;
pub(crate) mod priority_level_configuration;
mod validation;
