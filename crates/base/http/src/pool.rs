//! A client that keeps its connections: many requests on one in HTTP/2, one after the other in HTTP/1.1, whichever the server
//! chooses by ALPN.
//!
//! The server's certificate is for a name of the pool's own, whatever address a request goes to: the endpoints of a Service share the
//! Service's name. What a server sends before its body is bounded by hyper; who reads the body bounds that.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tower_service::Service;

use crate::dial::{self, DialError};
use crate::exchange::ExchangeError;
use crate::interim::{HEAD_BYTES_MAX, bounded};
use crate::kept::Kept;

/// How long a server may take to accept, and to finish its handshake; as Go's default transport.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(30);
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections to one address, and how long they are kept; Kubernetes' figures for Go's transport.
const IDLE_MAX: usize = 25;
const IDLE: Duration = Duration::from_secs(90);
/// How often the other end of an HTTP/2 connection is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// The connections to the servers that share a name.
pub struct Pool<B> {
    client: Client<Connector, B>,
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    /// `tls` says by ALPN which versions of HTTP are spoken.
    pub fn new(tls: Arc<ClientConfig>, server_name: &str) -> Self {
        Self::with(Connector { tls: Some(tls), server_name: server_name.into(), address: None })
    }

    /// The same to one address, whatever host the URIs of requests name.
    pub fn to_address(tls: Arc<ClientConfig>, server_name: &str, host: &str, port: u16) -> Self {
        Self::with(Connector { tls: Some(tls), server_name: server_name.into(), address: Some((host.into(), port)) })
    }

    /// Connections without TLS.
    pub fn plain() -> Self {
        Self::with(Connector { tls: None, server_name: "".into(), address: None })
    }

    fn with(connector: Connector) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .http2_max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT)
            .build(connector);
        Self { client }
    }

    /// Sends a request to the address that its URI names, and returns the head of the answer. No deadline is set here.
    pub async fn send(&self, request: Request<B>) -> Result<Response<Incoming>, ExchangeError> {
        bounded(request, |request| self.client.request(request)).await
    }
}

/// Makes connections for hyper's client.
#[derive(Clone)]
struct Connector {
    /// `None` to speak without.
    tls: Option<Arc<ClientConfig>>,
    server_name: Arc<str>,
    /// Where to connect; what the URI names, otherwise.
    address: Option<(Arc<str>, u16)>,
}

impl Service<Uri> for Connector {
    type Response = Kept;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Kept, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { tls, server_name, address } = self.clone();
        Box::pin(async move {
            let (host, port) = match &address {
                Some((host, port)) => (&**host, *port),
                None => {
                    let host = uri.host().ok_or_else(|| DialError::Address(uri.to_string()))?;
                    (
                        host.trim_start_matches('[').trim_end_matches(']'),
                        uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 }),
                    )
                }
            };
            let stream = dial::tcp(host, port, DIAL_TIMEOUT).await?;
            let Some(tls) = tls else { return Ok(Kept::plain(stream)) };
            Ok(Kept::secured(dial::tls(tls, &server_name, stream, HANDSHAKE_TIMEOUT).await?))
        })
    }
}
