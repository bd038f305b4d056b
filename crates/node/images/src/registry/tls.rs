//! What we trust and who we are when we speak TLS to a registry.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use windlass_http::dial::system_roots;
use windlass_pki::{AnyServer, ServerVerifier};

use super::config::Tls;
use super::error::ConfigError;

/// TLS settings with the files' contents: two endpoints with equal material share a client and its connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Material {
    authorities: Vec<(String, Vec<u8>)>,
    /// Where it is from, certificate and key.
    identity: Option<(String, Vec<u8>, Vec<u8>)>,
    skip_verify: bool,
}

impl Material {
    /// Reads the files.
    pub(super) fn load(tls: &Tls) -> Result<Self, ConfigError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source });
        let authorities = tls
            .ca_files
            .iter()
            .map(|path| Ok((path.display().to_string(), read(path)?)))
            .collect::<Result<_, ConfigError>>()?;
        // rustls presents one identity; of several the first counts.
        let identity = match tls.client_certificates.first() {
            Some(client) => {
                let certificate = read(&client.certificate)?;
                let key = client.key.as_deref().map(read).transpose()?.unwrap_or_else(|| certificate.clone());
                Some((client.certificate.display().to_string(), certificate, key))
            }
            None => None,
        };
        Ok(Self { authorities, identity, skip_verify: tls.skip_verify.unwrap_or(false) })
    }

    pub(super) fn client_config(&self) -> Result<ClientConfig, ConfigError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(ConfigError::ClientCertificate)?;
        let builder = if self.skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer::new(provider)))
        } else {
            let mut roots = system_roots().clone();
            for (path, pem) in &self.authorities {
                let mut added = 0;
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|_| ConfigError::Certificate(path.clone()))?;
                    added += usize::from(roots.add(certificate).is_ok());
                }
                if added == 0 {
                    return Err(ConfigError::Certificate(path.clone()));
                }
            }
            let verifier = ServerVerifier::new(roots, provider)
                .map_err(|_| ConfigError::Certificate("the set of authorities".to_owned()))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        };
        match &self.identity {
            None => Ok(builder.with_no_client_auth()),
            Some((path, certificate, key)) => {
                let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
                    .collect::<Result<_, _>>()
                    .map_err(|_| ConfigError::Certificate(path.clone()))?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| ConfigError::PrivateKey(path.clone()))?;
                builder.with_client_auth_cert(chain, key).map_err(ConfigError::ClientCertificate)
            }
        }
    }
}
