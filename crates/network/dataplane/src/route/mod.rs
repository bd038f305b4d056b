//! Links, addresses, routes and neighbours over rtnetlink.
//!
//! [`Requests`] collects changes and sends them in one system call; each is accepted or refused by itself, in order.
//! [`Rtnetlink`] is the connection to one namespace, and reads. [`Rtnetlink::sync_routes`] keeps all routes that carry one
//! protocol number as wanted: that number is how we know our routes again after a restart.

mod connection;
mod requests;
mod types;

pub use connection::Rtnetlink;
pub use requests::{Requests, Veth, VethPeer};
pub use types::{Address, Link, Mac, Route, RouteKind, Scope};
