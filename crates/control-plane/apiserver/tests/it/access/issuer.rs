//! An identity provider in the process: HTTPS on loopback, keys that can be exchanged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use windlass_api::time::Clock;
use windlass_http::serve::{Limits, Listener, Service, Timers, serve};
use windlass_pki::{PrivateKey, PublicKey, TokenSigner, jwks};

use crate::harness::{authority_pem, server_tls};

const RSA: &[u8] = include_bytes!("../../../../../base/pki/tests/it/data/rsa-pkcs8.pem");

pub(super) struct Provider {
    address: SocketAddr,
    signer: Mutex<TokenSigner>,
    pages: Arc<Pages>,
}

struct Pages {
    url: Mutex<String>,
    keys: Mutex<Vec<PublicKey>>,
    keys_fetched: AtomicUsize,
    /// It accepts connections, and says nothing.
    hangs: AtomicBool,
}

impl Provider {
    /// Signs with a key on P-256.
    pub(super) async fn start() -> Self {
        Self::with_key(PrivateKey::generate().unwrap()).await
    }

    /// Signs with RSA.
    pub(super) async fn with_rsa() -> Self {
        Self::with_key(PrivateKey::from_pem(RSA).unwrap()).await
    }

    async fn with_key(key: PrivateKey) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let pages = Arc::new(Pages {
            url: Mutex::new(format!("https://localhost:{}", address.port())),
            keys: Mutex::new(vec![key.public().clone()]),
            keys_fetched: AtomicUsize::new(0),
            hangs: AtomicBool::new(false),
        });
        let tls = Some(Arc::new(server_tls()));
        let listener = Listener { socket: socket.into(), tls, limits: Limits::default(), timers: Timers::default() };
        tokio::spawn(serve(pages.clone(), listener, std::future::pending()));
        Self { address, signer: Mutex::new(TokenSigner::new(key)), pages }
    }

    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The discovery document names another issuer from now on.
    pub(super) fn claim_to_be(&self, url: &str) {
        *self.pages.url.lock() = url.to_owned();
    }

    pub(super) fn hang(&self) {
        self.pages.hangs.store(true, Ordering::Relaxed);
    }

    pub(super) fn keys_fetched(&self) -> usize {
        self.pages.keys_fetched.load(Ordering::Relaxed)
    }

    /// Signs with a new key from now on, which is the only one that is shown.
    pub(super) fn exchange_key(&self) {
        let key = PrivateKey::generate().unwrap();
        *self.pages.keys.lock() = vec![key.public().clone()];
        *self.signer.lock() = TokenSigner::new(key);
    }

    /// The key that signs, as PEM: what a forger knows.
    pub(super) fn public_pem(&self) -> String {
        self.signer.lock().public_key().to_pem()
    }

    /// Signs claims, with those that every sound token has unless they are given.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.signer.lock().sign(&self.claims(claims)).unwrap()
    }

    pub(super) fn claims(&self, more: &Value) -> Value {
        let now = Clock::system().now().as_second();
        let mut claims = json!({"iss": self.url(), "aud": "client", "sub": "jane", "exp": now + 600});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    }

    /// An entry of `jwt`, with these fields in place.
    pub(super) fn settings(&self, more: &Value) -> Value {
        let mut settings = json!({
            "issuer": {"url": self.url(), "audiences": ["client"], "certificateAuthority": authority_pem()},
            "claimMappings": {
                "username": {"claim": "sub", "prefix": "oidc:"}, "groups": {"claim": "groups", "prefix": "oidc:"}},
        });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    }
}

impl Service for Pages {
    type Client = ();
    type Body = Full<Bytes>;

    fn identify(&self, _: SocketAddr, _: Option<&[CertificateDer<'static>]>) {}

    async fn answer(self: Arc<Self>, (): (), request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let url = self.url.lock().clone();
        let found = match request.uri().path() {
            "/.well-known/openid-configuration" | "/elsewhere" => {
                let address = request.uri().authority().map(ToString::to_string);
                let host = address.or_else(|| {
                    request.headers().get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
                });
                let jwks_uri = format!("https://{}/moved", host.unwrap());
                Some(json!({"issuer": url, "jwks_uri": jwks_uri}).to_string().into_bytes())
            }
            "/moved" => {
                let moved = Response::builder().status(StatusCode::FOUND).header("location", "/keys");
                return moved.body(Full::default()).unwrap();
            }
            "/keys" => {
                self.keys_fetched.fetch_add(1, Ordering::Relaxed);
                Some(jwks(&self.keys.lock()))
            }
            _ => None,
        };
        let status = if found.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let builder = Response::builder().status(status).header("content-type", "application/json");
        builder.body(Full::from(found.unwrap_or_default())).unwrap()
    }
}
