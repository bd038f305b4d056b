//! The expressions of admission: those of policies, and the match conditions of webhooks.
//!
//! Validation compiles them to find fault with them, admission compiles them to evaluate them, and a controller checks their types; all find
//! here what an expression may name ([`Environment`]), the types of that, and upstream's words for what does not compile ([`compile_expression`]).
//!
//! Source: apiserver `pkg/admission/plugin/cel`.

mod compile;
mod environment;
mod patch;
pub(crate) mod types;

pub use compile::{CompileError, Compiled, compile_expression};
pub use environment::{Declarations, Environment, KnownTypes};
pub use patch::{apply_configuration, json_patch};

/// The variables that an expression may name.
pub mod variable {
    pub const OBJECT: &str = "object";
    pub const OLD_OBJECT: &str = "oldObject";
    pub const PARAMS: &str = "params";
    pub const REQUEST: &str = "request";
    pub const NAMESPACE: &str = "namespaceObject";
    pub const AUTHORIZER: &str = "authorizer";
    pub const REQUEST_RESOURCE: &str = "authorizer.requestResource";
    pub const VARIABLES: &str = "variables";
}
