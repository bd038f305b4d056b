//! A server that answers with what it is asked for, and ways to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use windlass_http::dial;
use windlass_http::serve::{Limits, Listener, Service, Timers, serve};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const SOON: Duration = Duration::from_millis(100);

/// Answers with the path; `/wait` when it is told to, `/body` when the body is there.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) asked: Notify,
    pub(crate) go_on: Notify,
}

impl Service for Echo {
    type Client = ();
    type Body = Full<Bytes>;

    fn identify(&self, _: SocketAddr, _: Option<&[CertificateDer<'static>]>) {}

    async fn answer(self: Arc<Self>, (): (), request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if path == "/wait" {
            self.asked.notify_one();
            self.go_on.notified().await;
        }
        if path == "/body" {
            let _ = request.into_body().collect().await;
        }
        Response::new(Full::from(path))
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) echo: Arc<Echo>,
    pub(crate) client: Arc<rustls::ClientConfig>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
}

impl World {
    pub(crate) async fn new(timers: Timers) -> Self {
        Self::with(timers, Limits::default()).await
    }

    pub(crate) async fn with(timers: Timers, limits: Limits) -> Self {
        let (server, client) = tls();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let echo = Arc::<Echo>::default();
        let listener = Listener { socket: socket.into(), tls: Some(Arc::new(server)), limits, timers };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(echo.clone(), listener, async move { drop(stopped.await) }));
        Self { address, echo, client: Arc::new(client), stop: Some(stop), task }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection that has chosen `protocol`.
    pub(crate) async fn tls(&self, protocol: &str) -> TlsStream<TcpStream> {
        let mut config = (*self.client).clone();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = dial::tcp("127.0.0.1", self.address.port(), PATIENCE).await.unwrap();
        dial::tls(Arc::new(config), "localhost", stream, PATIENCE).await.unwrap()
    }
}

/// A server's identity for `localhost`, and a client that trusts it.
pub(crate) fn tls() -> (rustls::ServerConfig, rustls::ClientConfig) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    (server, client(roots))
}

pub(crate) fn client(roots: rustls::RootCertStore) -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
