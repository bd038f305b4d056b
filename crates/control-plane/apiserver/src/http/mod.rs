//! HTTP: connections, paths, content negotiation, answers.

mod connection;
mod negotiation;
mod path;
mod query;
mod response;
mod service;

pub use connection::{Listener, PeerUser, serve};
pub use service::{Body, Frontend, TokenAuthenticator};
