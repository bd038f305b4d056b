//! Custom resources: the kinds that users add by a CustomResourceDefinition.
//!
//! A custom resource is a value of [`Resource`](crate::Resource) like any other, made from its definition ([`resource`]), one for each
//! version that is served. Its [`strategy`] works from the version's schema, which is compiled when the first request needs it
//! ([`schema`], [`rules`]): clusters have many definitions, and use few. [`naming`] decides which names a definition gets, and
//! [`definition`] is what all of them read of it. [`conversion`] is about the forms of one kind.

mod columns;
pub mod conversion;
mod definition;
mod finalizers;
pub mod naming;
mod resource;
pub(crate) mod rules;
mod scale;
mod schema;
mod strategy;

pub use conversion::Forms;
pub use definition::{Definition, Names, Webhook, condition};
pub use resource::{resources, stored_resource};
pub use schema::CustomSchema;
