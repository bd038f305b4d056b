//! `coordination.k8s.io/v1`: leases.

pub(crate) mod lease;
