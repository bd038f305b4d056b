//! What a node answers on port 10250: logs, exec, attach, port-forward, metrics, and pages about its pods.
//!
//! Requests come in over TLS ([`serve`]) and are let in by [`auth`]; [`route`] says what is asked for. Streams of bytes between clients and
//! containers are [`session`]s, spoken over [`websocket`] or [`spdy`]. What is asked about pods is known to the kubelet ([`Node`]); what
//! happens in containers, to the runtime ([`windlass_cri::RuntimeService`]).
//!
//! This crate knows neither how pods are run nor who is on the other side: the API server passes its clients' connections on as they
//! are.

mod answer;
mod auth;
#[doc(hidden)]
pub mod fuzz;
mod logs;
mod node;
mod options;
mod pages;
mod port_forward;
mod query;
mod remote_command;
mod respond;
mod route;
mod server;
mod session;
mod spdy;
mod websocket;

pub use node::{ContainerState, ContainerView, Node, NodeUsage, PodView};
pub use options::Options;
pub use server::serve;
