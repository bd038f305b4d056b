//! `events.k8s.io/v1`: events.

pub(crate) mod event;
