//! The built-in kinds: one file for each, in a folder for each API group.
//!
//! A kind is a value of [`Resource`]; where it differs from others, its file implements [`Strategy`]: defaults, what a client
//! may not set, validation in upstream's words, the row of `kubectl get`. The request path in the API server treats them all
//! alike. To add a kind: write its file, and add one line to [`all`].

pub mod columns;
mod core;
pub mod metadata;
mod rbac;
mod resource;

pub use resource::{Moment, Resource, SchemaRef, Scope, SelectableField, Strategy, Subresource, Verbs};

/// Every built-in resource.
pub fn all() -> Vec<Resource> {
    vec![
        core::config_map::resource(),
        core::namespace::resource(),
        core::secret::resource(),
        core::service_account::resource(),
        rbac::cluster_role::resource(),
        rbac::cluster_role_binding::resource(),
        rbac::role::resource(),
        rbac::role_binding::resource(),
    ]
}
