//! How this server speaks TLS to others.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use windlass_pki::AnyServer;

/// TLS towards kubelets and towards what runs in pods. Both speak HTTP/1.1, which can be upgraded.
#[derive(Clone)]
pub(crate) struct Connector {
    pub kubelets: Arc<ClientConfig>,
    pub anybody: Arc<ClientConfig>,
}

impl Connector {
    /// `kubelets` trusts the cluster's kubelets and shows who this server is.
    pub(crate) fn new(mut kubelets: ClientConfig) -> Self {
        kubelets.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A proxy to a pod hides nothing from who asks for it, and pods have certificates of their own making.
        let anybody = AnyServer::client_config(kubelets.crypto_provider().clone());
        Self { kubelets: Arc::new(kubelets), anybody: Arc::new(anybody) }
    }

    /// For servers that proxy to no node.
    pub(crate) fn without_kubelets() -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("ring has cipher suites for every version");
        Self::new(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth())
    }
}
