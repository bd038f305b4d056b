//! An aggregated server for tests: it says what it has been asked, and can be as bad as a server can be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use windlass_api::GroupVersionResource;
use windlass_http::header::text;
use windlass_http::serve::{self, Limits, Service, Timers};

pub(super) const API_SERVICES: GroupVersionResource =
    GroupVersionResource::of("apiregistration.k8s.io", "v1", "apiservices");
pub(super) const FLUNDERS: GroupVersionResource =
    GroupVersionResource::of("wardle.example.com", "v1alpha1", "flunders");
pub(super) const NAME: &str = "v1alpha1.wardle.example.com";
pub(super) const GROUP: &str = "/apis/wardle.example.com/v1alpha1";
pub(super) const ALL: &str = "/apis/wardle.example.com/v1alpha1/namespaces/default/flunders";
pub(super) const AGGREGATED: &str = "accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// The aggregated server. It says what it has been asked.
pub(super) struct Wardle {
    pub(super) requests: AtomicUsize,
    ca_pem: String,
    pub(super) address: SocketAddr,
}

fn answer(value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync());
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

fn documents(path: &str) -> Option<Value> {
    let flunders = json!({"resource": "flunders", "responseKind": {"group": "wardle.example.com", "version": "v1alpha1",
        "kind": "Flunder"}, "scope": "Namespaced", "singularResource": "flunder", "verbs": ["list", "watch", "delete"]});
    Some(match path {
        "/apis" => json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": "wardle.example.com"},
            "versions": [{"version": "v1alpha1", "resources": [flunders]}]}]}),
        GROUP => json!({"kind": "APIResourceList", "resources": []}),
        "/openapi/v2" => json!({"swagger": "2.0", "paths": {(ALL): {"get": {"responses": {"200": {"schema":
            {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}}}}}, "/apis/apps/v1/": {}},
            "definitions": {"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta": {"type": "object"}}}),
        "/openapi/v3" => json!({"paths": {"apis/wardle.example.com/v1alpha1":
            {"serverRelativeURL": "/openapi/v3/apis/wardle.example.com/v1alpha1?hash=42"},
            "apis/apps/v1": {"serverRelativeURL": "/stolen"}}}),
        "/openapi/v3/apis/wardle.example.com/v1alpha1" => json!({"openapi": "3.0.0", "info": {"title": "Wardle"}}),
        _ => return None,
    })
}

impl Wardle {
    /// Starts it with a certificate for the Service `wardle` in `default`.
    pub(super) async fn start() -> Arc<Self> {
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&ca_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let own = CertificateParams::new(vec!["wardle.default.svc".to_owned()]).unwrap();
        let certificate = own.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let chain = vec![certificate.der().clone()];
        // Whose certificate it shall be is what the server itself makes sure of.
        let identity = windlass_pki::Identity::from_pem(certificate.pem().as_bytes(), pem(&key).as_bytes());
        let identity = windlass_pki::Rotating::new(&identity.unwrap()).unwrap();
        let tls = windlass_pki::server_config(identity, &windlass_pki::ClientAuth::Request(chain)).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let server = Arc::new(Self { requests: AtomicUsize::new(0), ca_pem, address });
        let listener = serve::Listener {
            socket: socket.into(),
            tls: Some(Arc::new(tls)),
            limits: Limits::default(),
            timers: Timers::default(),
        };
        tokio::spawn(serve::serve(server.clone(), listener, std::future::pending()));
        server
    }

    pub(super) fn ca_bundle(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.ca_pem)
    }
}

fn pem(key: &PrivateKeyDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(key.secret_der());
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

impl Service for Wardle {
    type Client = Option<String>;
    type Body = Body;

    fn identify(&self, _: SocketAddr, certificates: Option<&[CertificateDer<'static>]>) -> Self::Client {
        let identity = windlass_pki::client_identity(certificates?.first()?).unwrap()?;
        Some(identity.name)
    }

    async fn answer(self: Arc<Self>, client: Self::Client, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if let Some(document) = documents(&path) {
            let mut response = answer(&document);
            if path == "/apis" {
                let form = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
                response.headers_mut().insert("content-type", http::HeaderValue::from_static(form));
            }
            return response;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        match path.rsplit('/').next().unwrap() {
            "hangs" => std::future::pending().await,
            "endless" => {
                let endless = futures::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 1024]))));
                Response::new(
                    StreamBody::new(endless.then(async |frame| {
                        tokio::task::yield_now().await;
                        frame
                    }))
                    .boxed_unsync(),
                )
            }
            "huge-head" => {
                let mut response = answer(&json!({}));
                let value = http::HeaderValue::from_str(&"x".repeat(400 << 10)).unwrap();
                response.headers_mut().insert("x-huge", value);
                response
            }
            "upgrade" => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut io = TokioIo::new(upgrade.await.unwrap());
                    let mut word = [0; 4];
                    io.read_exact(&mut word).await.unwrap();
                    io.write_all(&word).await.unwrap();
                });
                let mut response = Response::new(Empty::new().boxed_unsync());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response
                    .headers_mut()
                    .extend(request.headers().get("upgrade").map(|protocol| (http::header::UPGRADE, protocol.clone())));
                response.headers_mut().insert("connection", http::HeaderValue::from_static("Upgrade"));
                response
            }
            _ if request.uri().query().is_some_and(|query| query.contains("watch=true")) => {
                let event = json!({"type": "ADDED", "object": {"metadata": {"name": "one", "namespace": "default"}}});
                let first = Bytes::from(format!("{event}\n"));
                let events = futures::stream::iter([Ok(Frame::data(first))]).chain(futures::stream::pending());
                Response::new(StreamBody::new(events).boxed_unsync())
            }
            _ => {
                let headers = request.headers().iter();
                let headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {}", text(value))).collect();
                let metadata = json!({"name": "one", "namespace": "default"});
                answer(
                    &json!({"kind": "FlunderList", "client": client, "headers": headers, "path": request.uri().to_string(),
                    "version": format!("{:?}", request.version()), "items": [{"metadata": metadata}]}),
                )
            }
        }
    }
}
