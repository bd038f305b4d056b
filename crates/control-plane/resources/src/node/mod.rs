//! `node.k8s.io/v1`: runtimes.

pub(crate) mod runtime_class;
