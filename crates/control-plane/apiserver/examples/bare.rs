use std::sync::Arc;
use windlass_apiserver::http::{Frontend, Listener, TokenAuthenticator, serve};
use windlass_apiserver::{Options, Server};
struct NoTokens;
#[async_trait::async_trait]
impl TokenAuthenticator for NoTokens {
    async fn authenticate(&self, _: &str) -> Option<windlass_auth::User> {
        None
    }
}
#[tokio::main]
async fn main() {
    let t0 = std::time::Instant::now();
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let store = windlass_store::Store::open(windlass_store::Options {
        directory: dir.join("store"),
        clock: windlass_api::time::Clock::system(),
        key: None,
        secret_tables: vec![],
    })
    .unwrap();
    let server = Server::new(Options {
        store,
        clock: windlass_api::time::Clock::system(),
        resources: windlass_resources::all(),
        admission: windlass_admission::plugins::default_chain(),
        advertised_address: "127.0.0.1:16443".into(),
    });
    use rcgen::*;
    let ca_key = KeyPair::generate().unwrap();
    let mut p = CertificateParams::new(vec![]).unwrap();
    p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    p.distinguished_name.push(DnType::CommonName, "ca");
    let ca = p.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(p, ca_key);
    let sk = KeyPair::generate().unwrap();
    let sc =
        CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).unwrap().signed_by(&sk, &issuer).unwrap();
    let ck = KeyPair::generate().unwrap();
    let mut cp = CertificateParams::new(vec![]).unwrap();
    cp.distinguished_name.push(DnType::CommonName, "admin");
    cp.distinguished_name.push(DnType::OrganizationName, "system:masters");
    cp.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    let cc = cp.signed_by(&ck, &issuer).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![sc.der().clone()], rustls::pki_types::PrivateKeyDer::Pkcs8(sk.serialize_der().into()))
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    use base64::Engine;
    let b = |s: &str| base64::engine::general_purpose::STANDARD.encode(s);
    let port: u16 = 16443;
    std::fs::write(dir.join("kubeconfig"), format!("apiVersion: v1\nkind: Config\nclusters: [{{name: w, cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority-data: {}}}}}]\nusers: [{{name: a, user: {{client-certificate-data: {}, client-key-data: {}}}}}]\ncontexts: [{{name: w, context: {{cluster: w, user: a}}}}]\ncurrent-context: w\n", b(&ca.pem()), b(&cc.pem()), b(&ck.serialize_pem()))).unwrap();
    let socket = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    eprintln!("ready after {:?}", t0.elapsed());
    serve(
        Arc::new(Frontend { server, tokens: Arc::new(NoTokens) }),
        Listener {
            socket,
            tls: Arc::new(tls),
            peer_user: |_| Some(windlass_auth::User::new("admin", &["system:masters"])),
        },
        std::future::pending(),
    )
    .await;
}
