//! `scheduling.k8s.io/v1`: priorities.

pub(crate) mod priority_class;
