//! Webhooks: servers of users that the API server asks over HTTPS, about admission, conversion, who somebody is and what they may do.
//!
//! A [`ClientConfig`] says where such a server is and whom to trust; [`Client::post`] sends it one body and returns the other. Connections
//! are kept and shared between requests, each to one endpoint of a Service, so that endpoints share the load also over HTTP/2. A server
//! that hangs costs its caller the time that the caller gives it, and nobody else anything.
//!
//! A [`Remote`] is a server that a kubeconfig names.
//!
//! It knows nothing of what is asked. Source: upstream apiserver `pkg/util/webhook`, client-go `rest/request.go`.

mod client;
mod config;
mod failure;
mod kubeconfig;
mod pools;
mod retry;

pub use client::{Answer, Client, Services};
pub use config::{ClientConfig, ConfigError, Target};
pub use failure::CallError;
pub use kubeconfig::{KubeconfigError, Remote};
pub use retry::Retry;
