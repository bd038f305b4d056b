//! A certificate with its key: in memory, in files, and renewed in time.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::certificate::{Certificate, Issue};
use crate::files::{self, Loss, PRIVATE, PUBLIC};
use crate::key::{PrivateKey, PublicKey};
use crate::renewal::{Renewal, RenewalReason, renewal};
use crate::{Ca, PkiError};

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

    /// Loads `DIRECTORY/NAME.crt` and `NAME.key`; `None` when one is missing.
    pub fn load(directory: &Path, name: &str) -> Result<Option<Self>, PkiError> {
        let certificate = files::read(&directory.join(format!("{name}.crt")))?;
        let key = files::read(&directory.join(format!("{name}.key")))?;
        match (certificate, key) {
            (Some(certificate), Some(key)) => Self::from_pem(&certificate, &key).map(Some),
            _ => Ok(None),
        }
    }

    /// Loads the identity, or has it issued when there is none, or when [`renewal`] says so. A damaged one is replaced:
    /// the authority can always issue another. Also returns when to ask again.
    pub fn load_or_issue(
        directory: &Path,
        name: &str,
        ca: &Ca,
        wanted: &Issue,
        now: Timestamp,
    ) -> Result<(Self, Timestamp), PkiError> {
        let current = match Self::load(directory, name) {
            Err(error @ PkiError::File { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(name, %error, "replacing a certificate that cannot be used");
                None
            }
            Ok(current) => current,
        };
        let decision = renewal(current.as_ref().map(Self::certificate), wanted, ca.certificate(), now);
        let reason = match (decision, current) {
            (Renewal::KeepUntil(due), Some(identity)) => return Ok((identity, due)),
            (Renewal::KeepUntil(_), None) => RenewalReason::Missing,
            (Renewal::Now(reason), _) => reason,
        };
        tracing::info!(name, ?reason, "issuing a certificate");
        let identity = ca.issue(wanted, now)?;
        identity.store(directory, name)?;
        let due = match renewal(Some(&identity.certificate), wanted, ca.certificate(), now) {
            Renewal::KeepUntil(due) => due,
            // An authority that is about to end issues certificates that are.
            Renewal::Now(_) => identity.certificate.not_after,
        };
        Ok((identity, due))
    }

    /// Writes the files. Should the power fail between the two, they do not fit, and the next load issues anew.
    pub fn store(&self, directory: &Path, name: &str) -> Result<(), PkiError> {
        files::make_directory(directory)?;
        let (certificate, key) = (self.certificates_pem(), self.key.to_pem());
        files::write(&directory.join(format!("{name}.key")), key.as_bytes(), PRIVATE, Loss::Bearable)?;
        files::write(&directory.join(format!("{name}.crt")), certificate.as_bytes(), PUBLIC, Loss::Bearable)
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate, then the intermediates.
    pub fn certificates_pem(&self) -> String {
        let mut text = self.certificate.to_pem();
        for intermediate in &self.intermediates {
            text.push_str(&crate::pem::encode("CERTIFICATE", intermediate));
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
