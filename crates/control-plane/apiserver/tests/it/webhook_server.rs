//! A webhook in the process: HTTPS on loopback, answers by a function.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use windlass_http::serve::{Limits, Listener, Service, Timers, serve};

use crate::harness::{authority_pem, server_tls};

/// What answers a body for a path and query.
type Answer = dyn Fn(&str, &Value) -> Value + Send + Sync;

pub(crate) struct WebhookServer {
    address: SocketAddr,
    hook: Arc<Hook>,
}

struct Hook {
    answer: Box<Answer>,
    connections: AtomicUsize,
}

impl WebhookServer {
    /// Listens with HTTP/2 and HTTP/1.1, or with the latter alone.
    pub(crate) async fn start(has_http2: bool, answer: impl Fn(&str, &Value) -> Value + Send + Sync + 'static) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut tls = server_tls();
        tls.alpn_protocols.retain(|protocol| has_http2 || protocol != b"h2");
        let hook = Arc::new(Hook { answer: Box::new(answer), connections: AtomicUsize::new(0) });
        let tls = Some(Arc::new(tls));
        let listener = Listener { socket: socket.into(), tls, limits: Limits::default(), timers: Timers::default() };
        tokio::spawn(serve(hook.clone(), listener, std::future::pending()));
        Self { address, hook }
    }

    /// The `clientConfig` that leads here.
    pub(crate) fn client_config(&self, path: &str) -> Value {
        json!({"url": format!("https://localhost:{}{path}", self.address.port()), "caBundle": BASE64.encode(authority_pem())})
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.hook.connections.load(Ordering::Relaxed)
    }
}

impl Service for Hook {
    type Client = ();
    type Body = Full<Bytes>;

    fn identify(&self, _: SocketAddr, _: Option<&[CertificateDer<'static>]>) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    async fn answer(self: Arc<Self>, (): (), request: Request<Incoming>) -> Response<Full<Bytes>> {
        let target = request.uri().path_and_query().unwrap().to_string();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let answer = (self.answer)(&target, &serde_json::from_slice(&body).unwrap());
        Response::builder().header("content-type", "application/json").body(Full::from(answer.to_string())).unwrap()
    }
}
