//! A certificate with its key.

use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::PkiError;
use crate::certificate::Certificate;
use crate::key::{PrivateKey, PublicKey};

/// Who somebody is: a certificate, those between it and the authority, and the key.
#[derive(Debug)]
pub struct Identity {
    certificate: Certificate,
    intermediates: Vec<CertificateDer<'static>>,
    key: PrivateKey,
}

impl Identity {
    pub(crate) fn new(certificate: Certificate, intermediates: Vec<CertificateDer<'static>>, key: PrivateKey) -> Self {
        Self { certificate, intermediates, key }
    }

    /// Puts together a key and the certificate that somebody has issued for it.
    pub fn from_parts(certificate: Certificate, key: PrivateKey) -> Result<Self, PkiError> {
        if PublicKey::from_spki(&certificate.public_key)? != *key.public() {
            return Err(PkiError::Certificate("it does not belong to the key".to_owned()));
        }
        Ok(Self::new(certificate, Vec::new(), key))
    }

    /// Reads a certificate, with intermediates behind it, and its key from PEM.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, PkiError> {
        let mut chain = CertificateDer::pem_slice_iter(certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PkiError::Certificate(error.to_string()))?
            .into_iter();
        let first = chain.next().ok_or_else(|| PkiError::Certificate("there is none".to_owned()))?;
        let mut identity = Self::from_parts(Certificate::parse(first)?, PrivateKey::from_pem(key)?)?;
        identity.intermediates = chain.collect();
        Ok(identity)
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate, then the intermediates.
    pub fn certificates_pem(&self) -> String {
        let mut text = self.certificate.to_pem();
        for intermediate in &self.intermediates {
            text.push_str(&crate::pem::pem_encode("CERTIFICATE", intermediate));
        }
        text
    }

    pub fn key_pem(&self) -> Zeroizing<String> {
        self.key.to_pem()
    }

    /// For rustls.
    pub fn certified_key(&self) -> Result<Arc<CertifiedKey>, PkiError> {
        let key = any_supported_type(&self.key.to_der()).map_err(PkiError::Tls)?;
        let chain = std::iter::once(self.certificate.der.clone()).chain(self.intermediates.iter().cloned());
        Ok(Arc::new(CertifiedKey::new(chain.collect(), key)))
    }
}
