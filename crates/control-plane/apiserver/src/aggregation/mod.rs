//! API aggregation: group versions that other servers serve, and the APIServices that say so.
//!
//! - [`server`]: the routes that follow from the APIServices in the store ([`routes`]), looked up by every request.
//! - [`proxy`]: a request of a client is handed on, with [`headers`] that say who asks; [`components`] for those in this process.
//! - [`transport`]: TLS, connections and their bounds.
//! - [`openapi`], [`document`]: what other servers say of themselves.
//!
//! What runs beside the server for them is in [`api_services`](crate::api_services).
//!
//! Whoever may write APIServices may have any group served by another server, built-in ones too, as upstream; APIServices themselves
//! stay. The other server is a stranger all the same: what it sends is bounded, and it has no more than its share of connections.

pub(crate) mod api_service;
mod components;
pub(crate) mod document;
mod ending;
pub(crate) mod forwarding;
pub(crate) mod headers;
pub(crate) mod openapi;
mod openapi_merge;
mod openapi_v3;
pub(crate) mod priorities;
mod proxy;
pub(crate) mod routes;
pub(crate) mod server;
#[cfg(test)]
mod tests;
pub(crate) mod transport;
mod upgrade;

pub(crate) use routes::Remote;
pub(crate) use server::Aggregation;
