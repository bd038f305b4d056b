//! The client's side of a TLS handshake.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dial_error::DialError;

/// Speaks TLS on a connection with `host`, a name or an address, which the server's certificate must be for.
pub async fn tls(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
    timeout: Duration,
) -> Result<TlsStream<TcpStream>, DialError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| DialError::Address(host.to_owned()))?;
    match tokio::time::timeout(timeout, TlsConnector::from(config).connect(name, stream)).await {
        Ok(result) => result.map_err(|error| DialError::of_handshake(&error, host)),
        Err(_) => Err(DialError::HandshakeTimeout),
    }
}
