//! `apiextensions.k8s.io/v1`: kinds that users add.

pub(crate) mod custom_resource_definition;
