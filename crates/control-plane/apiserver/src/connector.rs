//! How this server speaks TLS to others.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

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
        let provider = kubelets.crypto_provider().clone();
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .expect("ring has cipher suites for every version");
        let anybody =
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))).with_no_client_auth();
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

/// Takes any certificate: a proxy to a pod hides nothing from who asks for it, and pods have certificates of their own making.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
