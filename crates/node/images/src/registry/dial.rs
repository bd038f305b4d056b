//! Connections: name lookup, TCP (both address families), proxies, TLS.
//!
//! [`Connector`] is what hyper's client calls for a new connection. Failures carry the words that Go's network library has for
//! them, for those are what users search for.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;
use windlass_api::text::with_causes;

/// How long one address may take before the next is tried beside it (RFC 8305).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(300);
const ADDRESSES_MAX: usize = 16;

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DialError {
    #[error("dial tcp: lookup {host}: {reason}")]
    Lookup { host: String, reason: String, transient: bool },
    #[error("dial tcp {address}: {reason}")]
    Connect { address: String, reason: String },
    #[error("proxyconnect {proxy}: {reason}")]
    Proxy { proxy: String, reason: String },
    #[error("tls: failed to verify certificate: {0}")]
    Certificate(String),
    #[error("http: server gave HTTP response to HTTPS client")]
    NotTls,
    #[error("tls: {0}")]
    Tls(String),
    #[error("{0:?} is not an address to connect to")]
    Address(String),
}

impl DialError {
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Lookup { transient, .. } => *transient,
            Self::Connect { .. } | Self::Proxy { .. } => true,
            Self::Certificate(_) | Self::NotTls | Self::Tls(_) | Self::Address(_) => false,
        }
    }
}

/// Makes connections for hyper's client.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tls: TlsConnector,
    pub(super) proxy: Arc<Matcher>,
    pub(super) dial_timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Stream, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await })
    }
}

impl Connector {
    async fn connect(&self, uri: Uri) -> Result<Stream, DialError> {
        let is_https = uri.scheme_str() == Some("https");
        let proxy = self.proxy.intercept(&uri);
        let (io, proxied) = match &proxy {
            None => (self.tcp(&uri).await?, false),
            // Requests in plain text are sent to the proxy as they are.
            Some(proxy) if !is_https => (self.tcp(proxy.uri()).await?, true),
            Some(proxy) => (self.tunnel(proxy, uri.clone()).await?, false),
        };
        if !is_https {
            return Ok(Stream { io: TokioIo::new(Box::new(io)), proxied });
        }
        let host = uri.host().unwrap_or_default();
        let name = ServerName::try_from(host.trim_start_matches('[').trim_end_matches(']').to_owned())
            .map_err(|_| DialError::Address(host.to_owned()))?;
        let handshake = tokio::time::timeout(self.dial_timeout, self.tls.connect(name, io));
        let secured = handshake
            .await
            .map_err(|_| DialError::Tls("handshake timeout".to_owned()))?
            .map_err(|error| tls_error(&error, host))?;
        Ok(Stream { io: TokioIo::new(Box::new(secured)), proxied: false })
    }

    async fn tcp(&self, uri: &Uri) -> Result<TcpStream, DialError> {
        let host = uri.host().ok_or_else(|| DialError::Address(uri.to_string()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let dial = async {
            let found = tokio::net::lookup_host((host, port)).await.map_err(|error| lookup_error(host, &error))?;
            dial_first(interleave(found.take(ADDRESSES_MAX))).await
        };
        let stream = tokio::time::timeout(self.dial_timeout, dial).await.map_err(|_| DialError::Connect {
            address: format!("{host}:{port}"),
            reason: "i/o timeout".to_owned(),
        })??;
        // Small requests must not wait for more to come; without the option they are merely slower.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn tunnel(
        &self,
        proxy: &hyper_util::client::proxy::matcher::Intercept,
        target: Uri,
    ) -> Result<TcpStream, DialError> {
        let connector = self.clone();
        let dialer = ProxyDialer(connector);
        let mut tunnel = Tunnel::new(proxy.uri().clone(), dialer);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let failed = |reason: String| DialError::Proxy { proxy: proxy.uri().to_string(), reason };
        match tokio::time::timeout(self.dial_timeout, tunnel.call(target)).await {
            Ok(Ok(io)) => Ok(io.into_inner()),
            Ok(Err(error)) => Err(failed(with_causes(&error))),
            Err(_) => Err(failed("i/o timeout".to_owned())),
        }
    }
}

/// The TCP part of a [`Connector`], for the tunnel to its proxy.
#[derive(Clone)]
struct ProxyDialer(Connector);

impl Service<Uri> for ProxyDialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<TokioIo<TcpStream>, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move { connector.tcp(&uri).await.map(TokioIo::new) })
    }
}

/// Both families by turns, in the order that the resolver gave.
fn interleave(addresses: impl Iterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let (mut first, mut other) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let same = first.front().is_none_or(|known: &SocketAddr| known.is_ipv4() == address.is_ipv4());
        if same { first.push_back(address) } else { other.push_back(address) }
    }
    let mut order = VecDeque::with_capacity(first.len() + other.len());
    while !first.is_empty() || !other.is_empty() {
        order.extend(first.pop_front());
        order.extend(other.pop_front());
    }
    order
}

/// The first connection that comes about; the first failure if none does.
async fn dial_first(mut addresses: VecDeque<SocketAddr>) -> Result<TcpStream, DialError> {
    let mut running = FuturesUnordered::new();
    let mut failure = None;
    let connect = |address| async move { (address, TcpStream::connect(address).await) };
    loop {
        match addresses.pop_front() {
            Some(address) => running.push(connect(address)),
            None if running.is_empty() => {
                return Err(failure.unwrap_or(DialError::Address("a name without addresses".to_owned())));
            }
            None => {}
        }
        let next = async {
            if addresses.is_empty() {
                std::future::pending::<()>().await;
            } else {
                tokio::time::sleep(NEXT_ADDRESS_AFTER).await;
            }
        };
        tokio::select! {
            Some((address, result)) = running.next() => match result {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    let reason = connect_reason(&error);
                    failure.get_or_insert(DialError::Connect { address: address.to_string(), reason });
                }
            },
            () = next => {}
        }
    }
}

fn lookup_error(host: &str, error: &std::io::Error) -> DialError {
    let text = error.to_string();
    let unknown = ["Name or service not known", "No address associated", "nodename nor servname"];
    let transient = !unknown.iter().any(|known| text.contains(known));
    let reason = if transient {
        text.trim_start_matches("failed to lookup address information: ").to_lowercase()
    } else {
        "no such host".to_owned()
    };
    DialError::Lookup { host: host.to_owned(), reason, transient }
}

fn connect_reason(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    let known = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::HostUnreachable => "no route to host",
        ErrorKind::NetworkUnreachable => "network is unreachable",
        ErrorKind::ConnectionReset => "connection reset by peer",
        ErrorKind::TimedOut => "connection timed out",
        _ => return format!("connect: {error}"),
    };
    format!("connect: {known}")
}

fn tls_error(error: &std::io::Error, host: &str) -> DialError {
    use rustls::{CertificateError, Error};
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return DialError::Tls(error.to_string());
    };
    match tls {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            DialError::Certificate("x509: certificate signed by unknown authority".to_owned())
        }
        Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => DialError::Certificate("x509: certificate has expired or is not yet valid".to_owned()),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => DialError::Certificate(format!("x509: certificate is not valid for {host}")),
        Error::InvalidCertificate(other) => DialError::Certificate(format!("x509: {other}")),
        Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => DialError::NotTls,
        other => DialError::Tls(other.to_string()),
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection in the form that hyper's client keeps.
pub(super) struct Stream {
    io: TokioIo<Box<dyn Io>>,
    /// Requests on it name the whole address, for a proxy reads them.
    proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// hyper's client wants a future that it can name.
const _: fn() = || {
    fn is_future<T: Future + Send>() {}
    is_future::<<Connector as Service<Uri>>::Future>();
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_by_turns() {
        let parse = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let order = interleave(parse(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "[::3]:1"]).into_iter());
        assert_eq!(Vec::from(order), parse(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
    }

    #[tokio::test]
    async fn the_working_address_wins_and_the_first_failure_is_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        assert!(dial_first([closed, good].into()).await.is_ok());
        let error = dial_first([closed].into()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("dial tcp {closed}: connect: connection refused"));
    }
}
