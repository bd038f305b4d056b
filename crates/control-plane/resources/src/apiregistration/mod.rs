//! `apiregistration.k8s.io/v1`: aggregation.

pub(crate) mod api_service;
