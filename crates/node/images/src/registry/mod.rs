//! The client of the OCI distribution protocol: pulling manifests and blobs from registries and their mirrors.
//!
//! A [`Repository`] is one repository seen through the endpoints that configuration gives it, in order, for the length of one
//! pull. It resolves tags, fetches small contents whole and blobs as streams that survive broken connections. What it
//! hands out as a manifest or configuration has been verified against its digest; blob streams are verified by whoever
//! consumes them.

mod auth;
mod blob;
mod challenge;
mod config;
mod dial;
mod durations;
mod error;
mod exchange;
mod hosts_toml;
mod repository;
mod retry;
mod tls;

pub(crate) use blob::BlobStream;
pub use config::{Capability, ClientCertificate, Credentials, Endpoint, Proxy, Registries, RegistryConfig, Tls};
pub(crate) use error::RegistryError;
pub(crate) use exchange::Transport;
pub(crate) use repository::Repository;
pub use retry::Backoff;
