//! Connections that are kept: one of HTTP/2 to each endpoint, which all calls share, or where the endpoint speaks HTTP/1.1 a few that
//! wait for the next call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use parking_lot::Mutex;
use rustls::crypto::ring;
use rustls::{ClientConfig as TlsConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::time::Instant;
use windlass_http::dial;

use crate::client::Failure;
use crate::config::ConfigError;

/// Endpoints whose connections are kept.
const ENDPOINTS_MAX: usize = 200;
/// Connections of HTTP/1.1 that wait at one endpoint, and for how long one may.
const IDLE_MAX: usize = 16;
const IDLE_TIME: Duration = Duration::from_secs(90);
/// A call has a deadline of its own, which is earlier.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What a connection is to, and how the other end proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub host: String,
    pub port: u16,
    pub server_name: String,
    pub ca_bundle: Vec<u8>,
}

pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A request that got no response.
pub(crate) struct Unanswered {
    pub error: hyper::Error,
    /// The other end has seen nothing of it.
    pub is_unsent: bool,
}

impl Connection {
    pub(crate) fn version(&self) -> Version {
        match self {
            Self::Http1(_) => Version::HTTP_11,
            Self::Http2(_) => Version::HTTP_2,
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unanswered> {
        let sent = match self {
            Self::Http1(sender) => sender.try_send_request(request).await,
            Self::Http2(sender) => sender.try_send_request(request).await,
        };
        sent.map_err(|mut error: TrySendError<_>| {
            let is_unsent = error.take_message().is_some();
            Unanswered { error: error.into_error(), is_unsent }
        })
    }
}

/// The connections to all endpoints.
#[derive(Default)]
pub(crate) struct Connections {
    kept: Mutex<HashMap<Endpoint, Kept>>,
}

struct Kept {
    tls: Arc<TlsConfig>,
    /// Held while a first connection is made, so that calls that come together share it.
    dialing: Arc<tokio::sync::Mutex<()>>,
    shared: Option<http2::SendRequest<Full<Bytes>>>,
    idle: Vec<(http1::SendRequest<Full<Bytes>>, Instant)>,
    used: Instant,
}

impl Connections {
    /// A connection to an endpoint, and whether it is a new one.
    pub(crate) async fn take(&self, endpoint: &Endpoint) -> Result<(Connection, bool), Failure> {
        let (tls, dialing) = match self.find(endpoint)? {
            Found::Connection(connection) => return Ok((connection, false)),
            Found::Nothing { tls, dialing } => (tls, dialing),
        };
        let _turn = dialing.lock().await;
        // Somebody else may have made one meanwhile.
        if let Found::Connection(connection) = self.find(endpoint)? {
            return Ok((connection, false));
        }
        let connection = connect(endpoint, tls).await?;
        if let (Connection::Http2(sender), Some(kept)) = (&connection, self.kept.lock().get_mut(endpoint)) {
            kept.shared = Some(sender.clone());
        }
        Ok((connection, true))
    }

    fn find(&self, endpoint: &Endpoint) -> Result<Found, Failure> {
        let now = Instant::now();
        let mut all = self.kept.lock();
        if !all.contains_key(endpoint) {
            let kept = Kept::new(tls(&endpoint.ca_bundle).map_err(Failure::Config)?, now);
            make_room(&mut all);
            all.insert(endpoint.clone(), kept);
        }
        let kept = all.get_mut(endpoint).expect("it is there, or was just added");
        kept.used = now;
        Ok(kept.find(now))
    }

    /// Keeps a connection for the next call.
    pub(crate) fn give_back(&self, endpoint: Endpoint, connection: Connection) {
        let Connection::Http1(sender) = connection else { return };
        if let Some(kept) = self.kept.lock().get_mut(&endpoint)
            && kept.idle.len() < IDLE_MAX
        {
            kept.idle.push((sender, Instant::now()));
        }
    }
}

enum Found {
    Connection(Connection),
    Nothing { tls: Arc<TlsConfig>, dialing: Arc<tokio::sync::Mutex<()>> },
}

impl Kept {
    fn new(tls: Arc<TlsConfig>, now: Instant) -> Self {
        Self { tls, dialing: Arc::default(), shared: None, idle: Vec::new(), used: now }
    }

    fn find(&mut self, now: Instant) -> Found {
        self.shared.take_if(|sender| sender.is_closed());
        self.idle.retain(|(sender, since)| !sender.is_closed() && now - *since < IDLE_TIME);
        if let Some(sender) = &self.shared {
            return Found::Connection(Connection::Http2(sender.clone()));
        }
        match self.idle.pop() {
            Some((sender, _)) => Found::Connection(Connection::Http1(sender)),
            None => Found::Nothing { tls: self.tls.clone(), dialing: self.dialing.clone() },
        }
    }
}

/// Forgets the endpoint that was called the longest ago, when there are as many as are kept.
fn make_room(all: &mut HashMap<Endpoint, Kept>) {
    if all.len() < ENDPOINTS_MAX {
        return;
    }
    let oldest = all.iter().min_by_key(|(_, kept)| kept.used).map(|(endpoint, _)| endpoint.clone());
    oldest.map(|endpoint| all.remove(&endpoint));
}

async fn connect(endpoint: &Endpoint, tls: Arc<TlsConfig>) -> Result<Connection, Failure> {
    let stream = dial::tcp(&endpoint.host, endpoint.port, CONNECT_TIMEOUT).await.map_err(Failure::Dial)?;
    let stream = dial::tls(tls, &endpoint.server_name, stream, CONNECT_TIMEOUT).await.map_err(Failure::Dial)?;
    if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
        let (sender, driver) = dial::http2(stream.into()).await.map_err(Failure::Exchange)?;
        driver.detach();
        return Ok(Connection::Http2(sender));
    }
    let (sender, driver) = dial::http1(stream.into()).await.map_err(Failure::Exchange)?;
    driver.detach();
    Ok(Connection::Http1(sender))
}

/// TLS that trusts the authorities of a bundle; the machine's, when it is empty.
fn tls(ca_bundle: &[u8]) -> Result<Arc<TlsConfig>, ConfigError> {
    let refuse = |why: &str| ConfigError::Authorities(why.to_owned());
    let mut roots = RootCertStore::empty();
    if ca_bundle.is_empty() {
        roots.clone_from(dial::system_roots());
    } else {
        let (added, _) =
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(ca_bundle).filter_map(Result::ok));
        if added == 0 {
            return Err(refuse("no valid certificate authority data seen"));
        }
    }
    let mut config = TlsConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| refuse(&error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(Arc::new(config))
}
