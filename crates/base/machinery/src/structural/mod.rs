//! Values of custom resources held against their structural schema: nulls pruned, defaults set, everything validated in
//! upstream's words.
//!
//! [`Structural`] is the `openAPIV3Schema` of one version of a CustomResourceDefinition, read once. A request goes through it
//! in upstream's order:
//!
//! 1. unknown fields are pruned (not here: [`crate::schema`] and [`crate::decode`] do it);
//! 2. [`Structural::prune_nulls`];
//! 3. [`Structural::set_defaults`], after which admission follows;
//! 4. [`Structural::validate`] or one of its siblings for updates.
//!
//! The same two steps 2 and 3 are done with an object that comes from the store, for the schema may have got new defaults.
//!
//! [`json_path`] finds what printer columns, selectable fields and scale subresources show.
//!
//! This knows neither `metadata` of the object itself nor its `apiVersion` and `kind` (the server validates those), and no rules
//! in CEL (`x-kubernetes-validations`): who evaluates those reports them with [`error`] and [`quote`], as Go prints values.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/{schema,validation}`, kube-openapi `pkg/validation`.

mod compare;
mod correlation;
mod defaults;
mod embedded;
mod findings;
mod formats;
mod go_print;
pub mod json_path;
mod kind;
mod list_types;
mod logic;
mod numbers;
mod pattern;
mod place;
mod read;
mod schema;
mod validate;
mod values;

#[cfg(test)]
mod tests;

pub use correlation::item_key;
pub use findings::error;
pub use schema::Structural;
pub use windlass_regexp::Patterns;
