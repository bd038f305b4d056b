//! What policies that validate and policies that mutate have in common.
//!
//! [`Policies`] follows the policies and bindings in the store; each policy is compiled once. For a write it says which of them are about
//! it ([`Applicable`]), with the parameters that bindings choose ([`params`]), or why that cannot be known.
//!
//! Source: apiserver `pkg/admission/plugin/policy/generic`.

mod applicable;
mod binding;
mod forms;
mod namespace;
mod params;
mod policy;
mod source;

pub(crate) use applicable::{Applicable, Fault, Invocation, applicable};
pub(crate) use binding::{Action, Binding};
pub(crate) use forms::Forms;
pub(crate) use namespace::namespace_of;
pub(crate) use policy::{Policy, compile_written};
pub(crate) use source::Policies;
