//! Starts a server and gives ways to it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use windlass_api::GroupVersionResource;
use windlass_api::time::Clock;
use windlass_apiserver::Server;
use windlass_apiserver::http::{Frontend, Listener, Peer, REQUEST_TIMEOUT, serve};
use windlass_audit::Auditor;
use windlass_auth::User;
use windlass_client::https::{Https, Options as HttpsOptions};
use windlass_client::{Client, Transport};
use windlass_http::serve::Limits;
use windlass_store::Store;
use windlass_testing::{Access, Cluster};

/// One CA for all tests of the process.
struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca: rustls::pki_types::CertificateDer<'static>,
}

fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().der().clone();
        Pki { issuer: Issuer::new(params, key), ca }
    })
}

pub(crate) struct TestServer {
    pub(crate) server: Arc<Server>,
    cluster: Cluster,
    address: String,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(REQUEST_TIMEOUT, User::new("admin", &["system:masters"])).await
    }

    /// A server whose clients with a certificate are `user`, who may do everything by a role.
    pub(crate) async fn start_with(request_timeout: Duration, user: User) -> Self {
        Self::start_over(Store::in_memory(Clock::system()), request_timeout, user).await
    }

    /// The same over a store that the test has opened.
    pub(crate) async fn start_over(store: Arc<Store>, request_timeout: Duration, user: User) -> Self {
        Self::serve(request_timeout, user, |address| Cluster::on_real_time(store, address)).await
    }

    /// A server with authentication and authorization of its own.
    pub(crate) async fn with_access(access: Access) -> Self {
        let (store, admin) = (Store::in_memory(Clock::system()), User::new("admin", &["system:masters"]));
        Self::serve(REQUEST_TIMEOUT, admin, |address| Cluster::with_access(store, address, access)).await
    }

    /// A server whose requests an auditor records.
    pub(crate) async fn start_audited(auditor: Arc<Auditor>, user: User) -> Self {
        let store = Store::in_memory(Clock::system());
        Self::serve(REQUEST_TIMEOUT, user, |address| Cluster::audited(store, address, auditor)).await
    }

    async fn serve(request_timeout: Duration, user: User, cluster: impl FnOnce(&str) -> Cluster) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let cluster = cluster(&address);
        let server = cluster.server.clone();
        let peer = Arc::new(user.clone());
        let listener = Listener {
            socket,
            tls: Arc::new(server_tls()),
            peer_user: Arc::new(move |_| Peer::User(peer.clone())),
            limits: Limits { connections_max: 2000, ..Limits::default() },
        };
        let frontend = Arc::new(Frontend::new(server.clone(), server.metrics(), request_timeout));
        tokio::spawn(serve(frontend, listener, std::future::pending()));
        let test = Self { server, cluster, address };
        test.allow_everything(&user.name).await;
        test.create("/api/v1/namespaces", &serde_json::json!({"metadata": {"name": "default"}})).await;
        test
    }

    async fn allow_everything(&self, user: &str) {
        let [(_, admin), _] = self.clients();
        let rules = serde_json::json!([
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]);
        let role = serde_json::json!({"metadata": {"name": "all"}, "rules": rules});
        let group = "rbac.authorization.k8s.io";
        admin.create(&GroupVersionResource::of(group, "v1", "clusterroles"), "", &role).await.unwrap();
        let binding = serde_json::json!({"metadata": {"name": "all"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "all"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}]});
        admin.create(&GroupVersionResource::of(group, "v1", "clusterrolebindings"), "", &binding).await.unwrap();
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Both ways of a component to the server.
    pub(crate) fn clients(&self) -> [(&'static str, Client); 2] {
        let https: Arc<dyn Transport> = Arc::new(Https::new(HttpsOptions {
            address: self.address.clone(),
            server_name: "localhost".to_owned(),
            tls: Arc::new(client_tls(true)),
            bearer_token: None,
            user_agent: "test".to_owned(),
        }));
        [("direct", self.cluster.admin.clone()), ("https", Client::new(https))]
    }

    /// A connection, with the admin's certificate or none.
    pub(crate) async fn http2<B>(&self, with_certificate: bool) -> SendRequest<B>
    where
        B: http_body::Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
    {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(client_tls(with_certificate)));
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// A connection in HTTP/1.1, as admin.
    pub(crate) async fn http1<B>(&self) -> hyper::client::conn::http1::SendRequest<B>
    where
        B: http_body::Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + 'static,
    {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let mut tls = client_tls(true);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender
    }

    /// The same server, where it listens at another address too.
    pub(crate) fn at(&self, address: &str) -> Self {
        Self { server: self.server.clone(), cluster: self.cluster.clone(), address: address.to_owned() }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// A request as admin; `headers` are `name: value`.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[&str], body: &str) -> Response<Incoming> {
        self.send_as(None, method, path, headers, body).await
    }

    /// A request with a bearer token instead of the admin's certificate; an empty one is none.
    pub(crate) async fn send_as(
        &self,
        token: Option<&str>,
        method: Method,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Response<Incoming> {
        let mut sender = self.http2(token.is_none()).await;
        let mut request = Request::builder().method(method).uri(self.url(path));
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        sender.send_request(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        json(self.send(Method::GET, path, &[], "").await).await
    }

    pub(crate) async fn create(&self, path: &str, object: &Value) -> Value {
        let response = self.send(Method::POST, path, &["content-type: application/json"], &object.to_string()).await;
        let (code, object) = json(response).await;
        assert_eq!(code, StatusCode::CREATED, "{object}");
        object
    }
}

pub(crate) async fn json(response: Response<Incoming>) -> (StatusCode, Value) {
    let code = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).as_ref()));
    (code, value)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots() -> Arc<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki().ca.clone()).unwrap();
    Arc::new(roots)
}

/// The authority of all certificates here.
pub(crate) fn authority_pem() -> String {
    let der = windlass_pki::Certificate::parse(pki().ca.clone()).unwrap();
    der.to_pem()
}

pub(crate) fn server_tls() -> rustls::ServerConfig {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &pki().issuer).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots(), provider())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tls
}

fn client_tls(with_certificate: bool) -> rustls::ClientConfig {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots());
    let mut tls = if with_certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "admin");
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        let certificate = params.signed_by(&key, &pki().issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    tls
}
