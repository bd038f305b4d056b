//! What the API needs to be served.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use windlass_api::time::Clock;
use windlass_client::Client;
use windlass_cri::RuntimeService;
use windlass_http::serve::Limits;
use windlass_pki::ClientVerifier;
use windlass_telemetry::Metrics;

use crate::node::Node;

pub struct Options {
    /// Port 10250, as a rule.
    pub socket: TcpListener,
    /// Asks for client certificates, and makes sure that clients have the keys of those that they show
    /// ([`windlass_pki::ClientAuth::Request`]).
    pub tls: Arc<rustls::ServerConfig>,
    pub limits: Limits,
    /// Verifies client certificates: the API server's among them.
    pub verifier: ClientVerifier,
    pub node: Arc<dyn Node>,
    pub runtime: Arc<dyn RuntimeService>,
    /// As the node: for reviews of tokens and of access.
    pub client: Client,
    pub clock: Clock,
    pub metrics: Metrics,
    /// What `/logs/` shows; upstream's is `/var/log`.
    pub system_logs: PathBuf,
}
