//! Authorization: authorizers that are asked in their order, until one allows or denies.
//!
//! RBAC and Node answer at once, from indexes over the store ([`fed`]). Webhooks ([`webhook`]) answer later, unless their answer is
//! remembered. So a question is asked in two parts: what can be said at once ([`Authorizer::begin`]), and only if a webhook has to be asked
//! the rest ([`Rest::finish`]), which waits. Without webhooks nothing waits, and nothing is allocated for it.
//!
//! The chain can be replaced while the server runs ([`following`]).
//!
//! Source: apiserver `pkg/authorization/union`, upstream `pkg/kubeapiserver/authorizer`.

mod authorizer;
mod chain;
mod fed;
mod figures;
mod following;
mod request;
mod verdict;
mod webhook;

pub(crate) use authorizer::Authorizer;
pub use following::{Authorization, AuthorizationError, OpenRemote};
pub(crate) use request::{forbidden, request_attributes, with_request_info};
pub(crate) use verdict::{Outcome, Verdict};
