//! HTTP: connections, who asks, and what each request is for.

mod auditing;
mod bodies;
mod connect;
mod connection;
mod custom_route;
mod frontend;
mod identity;
mod impersonation;
mod metrics;
mod service;

pub use crate::message::Body;
pub use connection::{Listener, PeerUser, serve};
pub use frontend::{Frontend, REQUEST_TIMEOUT};
pub use identity::Peer;
