//! The rules of a custom resource's schema (`x-kubernetes-validations`), compiled once and held against objects.
//!
//! [`shape`] is what expressions need of a schema. [`compile`] makes a program of a rule, for objects and for the validation of definitions,
//! which also asks what it may cost. [`tree`] has the compiled rules where they stand in the schema, [`run`] evaluates them within a
//! budget, with the old values that [`correlation`] finds, and [`resource`] is the part that knows of whole resources. [`field_path`] follows a path into a schema.
//!
//! Rules in `allOf`, `anyOf`, `oneOf` and `not` are not looked at: no structural schema has any.
//!
//! Source: apiextensions-apiserver `pkg/apiserver/schema/cel`.

mod compile;
mod correlation;
pub(crate) mod field_path;
mod message;
mod resource;
mod run;
mod shape;
mod tree;

#[cfg(test)]
mod tests;

pub(crate) use compile::{Modes, Types, compile};
pub(crate) use run::BUDGET;
pub(crate) use shape::Shape;
pub(crate) use tree::Rules;

pub(crate) use resource::{ResourceRules, TypeMeta};
