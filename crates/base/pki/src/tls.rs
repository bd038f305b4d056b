//! TLS as every component of a cluster speaks it: 1.2 and 1.3, HTTP/2 before HTTP/1.1.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::ResolvesClientCert;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::{Identity, PkiError};

/// A server's or client's identity that is exchanged while connections are made: each handshake takes what is there.
#[derive(Debug)]
pub struct Rotating {
    current: ArcSwap<CertifiedKey>,
}

/// What a server wants to know of its clients.
#[derive(Clone, Debug)]
pub enum ClientAuth {
    /// Nothing.
    None,
    /// A certificate if they have one, and proof that they have its key. Whether it is any good, the caller finds out with a
    /// [`crate::ClientVerifier`], as upstream's API server does: so that a client with a bad certificate and a good token is
    /// let in. The authorities are shown to clients, which choose by them.
    Request(Vec<CertificateDer<'static>>),
    /// A certificate of one of these authorities, or none. Any other certificate ends the handshake.
    Verify(Vec<CertificateDer<'static>>),
}

impl Rotating {
    pub fn new(identity: &Identity) -> Result<Arc<Self>, PkiError> {
        Ok(Arc::new(Self { current: ArcSwap::new(identity.certified_key()?) }))
    }

    /// Handshakes from now on use `identity`.
    pub fn replace(&self, identity: &Identity) -> Result<(), PkiError> {
        self.current.store(identity.certified_key()?);
        Ok(())
    }
}

impl ResolvesServerCert for Rotating {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl ResolvesClientCert for Rotating {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A server with this identity.
pub fn server_config(identity: Arc<Rotating>, clients: &ClientAuth) -> Result<ServerConfig, PkiError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(PkiError::Tls)?;
    let builder = match clients {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Request(authorities) => {
            let hints = roots(authorities)?.subjects();
            builder.with_client_cert_verifier(Arc::new(KeyHolder { provider, hints }))
        }
        ClientAuth::Verify(authorities) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authorities)?), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| PkiError::Verifier(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(identity);
    config.alpn_protocols = protocols();
    Ok(config)
}

/// Whose certificate a server may show to a client.
#[derive(Clone, Debug)]
pub enum Trust {
    /// One that one of these authorities has signed.
    Authorities(RootCertStore),
    /// Any, as with Go's `InsecureSkipVerify`.
    Anybody,
}

/// A client that trusts these authorities and, if it has one, shows its identity.
pub fn client_config(
    authorities: &[CertificateDer<'static>],
    identity: Option<Arc<Rotating>>,
) -> Result<ClientConfig, PkiError> {
    client_config_of(Trust::Authorities(roots(authorities)?), identity)
}

/// A client that trusts as it is said and, if it has one, shows its identity.
pub fn client_config_of(trust: Trust, identity: Option<Arc<Rotating>>) -> Result<ClientConfig, PkiError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(PkiError::Tls)?;
    let builder = match trust {
        // Nobody is trusted without authorities, and then it does not matter in which words that is said.
        Trust::Authorities(roots) if roots.is_empty() => builder.with_root_certificates(roots),
        Trust::Authorities(roots) => {
            let verifier = crate::ServerVerifier::new(roots, provider)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::Anybody => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(crate::AnyServer::new(provider)))
        }
    };
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(identity),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols();
    Ok(config)
}

fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}

fn roots(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(PkiError::Tls)?;
    }
    Ok(roots)
}

/// Verifies that a client has the key of the certificate that it shows, and nothing more.
#[derive(Debug)]
struct KeyHolder {
    provider: Arc<CryptoProvider>,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for KeyHolder {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
