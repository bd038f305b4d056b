//! `discovery.k8s.io/v1`: endpoints of Services.

pub(crate) mod endpoint_slice;
