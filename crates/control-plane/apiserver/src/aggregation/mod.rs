//! API aggregation: group versions that other servers serve, and the APIServices that say so.
//!
//! - [`server`]: the routes that follow from the APIServices in the store ([`routes`]), looked up by every request.
//! - [`proxy`]: a request of a client is handed on, with [`headers`] that say who asks; [`components`] for those in this process.
//! - [`transport`]: TLS, connections and their bounds.
//! - [`keeper`]: what runs beside the server: [`registration`] of the group versions that are served here, [`availability`] of the others,
//!   and [`documents`] that these have about themselves.
//!
//! Whoever may write APIServices may have any group served by another server, built-in ones too, as upstream; APIServices themselves
//! stay. The other server is a stranger all the same: what it sends is bounded, and it has no more than its share of connections.

pub(crate) mod api_service;
mod ask;
mod automanaged;
mod availability;
mod behind_service;
mod components;
pub(crate) mod document;
mod documents;
mod ending;
mod following;
pub(crate) mod forwarding;
pub(crate) mod headers;
mod keeper;
pub(crate) mod openapi;
mod openapi_merge;
mod openapi_v3;
pub(crate) mod priorities;
mod proxy;
mod registration;
mod routes;
mod server;
#[cfg(test)]
mod tests;
mod transport;
mod upgrade;

pub use keeper::ApiServices;
pub(crate) use routes::Remote;
pub(crate) use server::Aggregation;
