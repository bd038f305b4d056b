//! `apiextensions.k8s.io/v1`: kinds that users add.
//!
//! [`custom_resource_definition`] is the kind; [`validation`] and [`warnings`] judge its objects, through views of them:
//! [`layout`] of the spec, [`schema`] of a schema in it, [`go_form`] of what messages show.

pub(crate) mod custom_resource_definition;
mod go_form;
mod layout;
#[cfg(test)]
mod recorded;
mod schema;
pub(crate) mod validation;
mod warnings;
