//! Who asks, and whether they may.
//!
//! [`User`] is the outcome of authentication, [`Attributes`] what an authorizer decides about. The authorizers here are indexes in memory:
//! they are told of changes of the objects that they depend on, and answer without I/O. The API server feeds them from
//! its store.
//!
//! What administrators configure by file is read and validated here, and decided here as far as it needs no I/O: whom the claims of a token
//! map to ([`authentication::jwt`]), and what a webhook is asked about access ([`authorization`]).

mod attributes;
pub mod authentication;
pub mod authorization;
pub mod node;
pub mod rbac;
mod user;

pub use attributes::{Attributes, Decision};
pub use user::{User, service_account_groups, service_account_name, split_service_account};
