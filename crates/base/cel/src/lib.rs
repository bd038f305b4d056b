//! The Common Expression Language as Kubernetes v1.37 speaks it.
//!
//! CustomResourceDefinitions, admission policies, webhooks, authentication and authorization are configured with expressions. They come
//! from strangers and run on the way of every request, so they are checked before they are accepted, estimated, and run within a budget.
//!
//! The steps: [`Env`] says what an expression may name; [`Env::compile`] reads it, checks it and finds fault with it in upstream's
//! words; [`Expression::estimate`] says what it may cost; [`Program::evaluate`] runs it on values that borrow the data as JSON.
//!
//! No crate that exists was used: `cel` 0.15 has neither static types nor costs, and evaluates values that own their data; `kube-cel` 0.8
//! adds Kubernetes' functions to it, and a heuristic where upstream counts. Both limits and messages are part of what users see of
//! Kubernetes, and neither could have been added from outside.

pub mod access;
pub mod admission;
mod ast;
mod check;
mod cost;
pub mod devices;
mod env;
mod error;
mod expression;
mod functions;
mod issues;
mod kinds;
mod library;
mod parse;
mod program;
mod schema;
mod source;
mod stack;
mod types;
mod value;
mod work;

pub use cost::{PER_CALL_LIMIT, RUNTIME_BUDGET, Range};
pub use env::Env;
pub use error::Error;
pub use expression::Expression;
pub use issues::{Issue, Issues};
pub use kinds::authorizer::{Attributes, Authorizer, Decision, ResourceAttributes, Target};
pub use kinds::timestamp::Timestamp;
pub use library::Mode;
pub use program::{Evaluation, PlanError, Program};
pub use schema::{
    Kind, ListType, Schema, SchemaSizes, Sizes, cardinality_max, declare, escape, is_identifier, unescape,
};
pub use stack::with_room;
pub use types::{LibraryType, Object, Type};
pub use value::{Constructed, Fields, List, Map, Octets, Opaque, Pairs, Text, Value};
pub use windlass_regexp::Patterns;
