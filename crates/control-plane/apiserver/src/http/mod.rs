//! HTTP: connections, paths, content negotiation, answers.

mod auditing;
mod bodies;
mod computing;
mod connect;
mod connection;
mod custom_route;
mod frontend;
mod identity;
mod impersonation;
mod list_body;
mod metrics;
pub(crate) mod negotiation;
pub(crate) mod path;
mod pieces_body;
pub(crate) mod query;
pub(crate) mod relay;
pub(crate) mod response;
mod service;
pub(crate) mod sync_stream;

pub use connection::{Listener, PeerUser, serve};
pub use frontend::{Frontend, REQUEST_TIMEOUT};
pub use identity::Peer;
pub use response::Body;
