//! The HTTPS transport: requests to any API server over HTTP/2 connections that are made anew when they break.
//!
//! One connection carries as many requests and watches as API servers take; for more there is another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request as HttpRequest, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::sync::Mutex;
use windlass_api::Status;
use windlass_http::dial;
use windlass_http::exchange::ExchangeError;

use crate::discovery::{self, Discovered};
use crate::request::Request;
use crate::transport::{Reply, Transport};
use crate::wire;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Requests and watches on one connection; kube-apiserver takes a hundred.
const STREAMS_MAX: usize = 90;
const AGGREGATED_DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
/// A list of everything that a server may have.
const ANSWER_BYTES_MAX: usize = 4 << 30;

/// Where the server is, and who asks.
#[derive(Clone)]
pub struct Options {
    /// `host:port`.
    pub address: String,
    /// The name that the server's certificate must have; mostly the host.
    pub server_name: String,
    /// Trusts the cluster's CA, and carries the client's certificate if it has one. ALPN must offer `h2` alone.
    pub tls: Arc<rustls::ClientConfig>,
    pub bearer_token: Option<String>,
    pub user_agent: String,
}

/// Connections to an API server.
pub struct Https {
    options: Options,
    connections: Mutex<Vec<Connection>>,
}

#[derive(Clone)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Counts who uses it, beside the list of connections.
    lease: Lease,
}

/// Held for as long as a request or a watch uses a connection.
type Lease = Arc<()>;

fn unavailable(what: &str, error: impl std::fmt::Display) -> Status {
    wire::unavailable(what, error)
}

impl Https {
    pub fn new(options: Options) -> Self {
        Self { options, connections: Mutex::default() }
    }

    async fn connect(&self) -> Result<Connection, Status> {
        let Options { address, server_name, tls, .. } = &self.options;
        let failed = |error: dial::DialError| unavailable(&format!("Get \"https://{address}\""), error);
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "443"));
        let port = port.parse().map_err(|_| failed(dial::DialError::Address(address.clone())))?;
        let stream = dial::tcp(host.trim_matches(['[', ']']), port, CONNECT_TIMEOUT).await.map_err(failed)?;
        let stream = dial::tls(tls.clone(), server_name, stream, CONNECT_TIMEOUT).await.map_err(failed)?;
        let (sender, driver) = dial::http2(stream.into()).await.map_err(|error| unavailable(address, error))?;
        driver.detach();
        Ok(Connection { sender, lease: Lease::default() })
    }

    /// A connection that takes one more request.
    async fn connection(&self) -> Result<Connection, Status> {
        let mut connections = self.connections.lock().await;
        connections.retain(|connection| !connection.sender.is_closed());
        let free = connections.iter().find(|connection| Arc::strong_count(&connection.lease) <= STREAMS_MAX);
        if let Some(connection) = free {
            return Ok(connection.clone());
        }
        let connection = self.connect().await?;
        connections.push(connection.clone());
        Ok(connection)
    }

    fn http_request(&self, request: &Request) -> Result<HttpRequest<Full<Bytes>>, Status> {
        self.http(wire::method(request.verb), &wire::path_and_query(request), "application/json")?
            .header(CONTENT_TYPE, wire::content_type(request))
            .body(Full::new(request.body.bytes.clone()))
            .map_err(Status::internal)
    }

    /// A request with everything that they all have.
    fn http(&self, method: Method, path: &str, accept: &str) -> Result<http::request::Builder, Status> {
        let mut builder = HttpRequest::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.options.address))
            .header(HOST, &self.options.address)
            .header(ACCEPT, accept)
            .header(USER_AGENT, &self.options.user_agent);
        if let Some(token) = &self.options.bearer_token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(Status::internal)?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        Ok(builder)
    }

    async fn send(&self, request: &Request) -> Result<(Response<Incoming>, Lease), Status> {
        self.exchange(self.http_request(request)?).await
    }

    async fn exchange(&self, request: HttpRequest<Full<Bytes>>) -> Result<(Response<Incoming>, Lease), Status> {
        let Connection { mut sender, lease } = self.connection().await?;
        match tokio::time::timeout(REQUEST_TIMEOUT, sender.send_request(request)).await {
            Ok(Ok(response)) => Ok((response, lease)),
            Ok(Err(error)) => {
                self.connections.lock().await.retain(|connection| !Arc::ptr_eq(&connection.lease, &lease));
                Err(unavailable(&self.options.address, ExchangeError::of(&error)))
            }
            Err(_) => Err(Status::timeout("the API server did not answer in time", 1)),
        }
    }
}

#[async_trait]
impl Transport for Https {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let (response, lease) = self.send(&request).await?;
        wire::reply(request.verb, response, ANSWER_BYTES_MAX, lease).await
    }

    async fn discover(&self) -> Result<Discovered, Status> {
        let mut all = Discovered::default();
        for path in ["/api", "/apis"] {
            let (response, _lease) = self
                .exchange(
                    self.http(Method::GET, path, AGGREGATED_DISCOVERY)?
                        .body(Full::default())
                        .map_err(Status::internal)?,
                )
                .await?;
            let body = wire::document(response, ANSWER_BYTES_MAX).await?;
            all.extend(discovery::parse(&body)?);
        }
        Ok(all)
    }
}
