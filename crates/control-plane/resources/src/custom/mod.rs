//! Custom resources: the kinds that users add by a CustomResourceDefinition.
//!
//! A custom resource is a value of [`Resource`](crate::Resource) like any other, made from its [`definition`](crate::definition)
//! ([`resource`]), one for each version that is served. Its [`strategy`] works from the version's schema.

mod columns;
mod finalizers;
mod resource;
mod scale;
mod strategy;

pub use resource::{resources, stored_resource};
