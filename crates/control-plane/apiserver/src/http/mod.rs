//! HTTP: connections, paths, content negotiation, answers.

mod connection;
pub(crate) mod negotiation;
mod path;
pub(crate) mod query;
pub(crate) mod response;
mod service;

pub use connection::{Listener, PeerUser, serve};
pub use service::{Body, Frontend};
