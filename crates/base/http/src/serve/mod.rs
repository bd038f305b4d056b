//! Connections that others make: accepted, bounded, timed, answered, and let go in good order.
//!
//! # A connection's life
//!
//! - *accepted*: it takes one of the [`places`](Limits), or is closed at once.
//! - *handshake*: TLS, within a deadline. What the client shows says who it is.
//! - *serving*: HTTP/2 if both sides chose it (ALPN), else HTTP/1.1. A request's head has a deadline; a connection without requests ends
//!   after a while; one whose peer no longer answers pings ends too.
//! - *draining*: the server ends. No new requests, those under way finish, within a deadline.
//!
//! A connection that was upgraded is its session's; it keeps its place until it is closed.

mod activity;
mod connection;
mod host;
mod listener;
mod options;
mod places;
mod service;

pub use listener::serve;
pub use options::{Limits, Listener, Socket, Timers};
pub use service::Service;
