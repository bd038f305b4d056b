//! Certificate authorities.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::certificate::{self, BACKDATE, Certificate, ExtendedUsage, Issue, KeyUsage, Signer, Template};
use crate::files::{self, Loss, PRIVATE, PUBLIC};
use crate::key::{PrivateKey, PublicKey};
use crate::request::{CertificateRequest, usages};
use crate::{Identity, PkiError};

/// As kubeadm's authorities.
const AUTHORITY_TTL: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Certificates of a shorter life do not lose any of it to [`BACKDATE`], as upstream's signer does.
const SHORT: Duration = Duration::from_secs(8 * 3600);

/// An authority: its certificate and its key.
#[derive(Debug)]
pub struct Ca {
    certificate: Certificate,
    key: PrivateKey,
    key_identifier: Vec<u8>,
}

/// How a request is signed: what upstream's signers take from the CertificateSigningRequest's spec.
#[derive(Clone, Debug)]
pub struct SigningPolicy {
    pub ttl: Duration,
    /// Names of the certificates API, such as `digital signature` and `client auth`.
    pub usages: Vec<String>,
}

impl Ca {
    /// A new authority, valid for ten years.
    pub fn create(common_name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let key = PrivateKey::generate()?;
        let name = certificate::name(common_name, &[]);
        let template = Template {
            subject: name.clone(),
            alt_names: Vec::new(),
            not_before: now.saturating_sub(BACKDATE).unwrap_or(now),
            not_after: now.saturating_add(AUTHORITY_TTL).unwrap_or(Timestamp::MAX),
            usages: vec![KeyUsage::DigitalSignature, KeyUsage::CertSign, KeyUsage::CrlSign],
            extended_usages: Vec::new(),
            is_authority: true,
        };
        let signer = Signer { key: &key, name: &name, key_identifier: None };
        let certificate = Certificate::parse(certificate::sign(&template, key.public(), &signer)?)?;
        Ok(Self::new(certificate, key))
    }

    fn new(certificate: Certificate, key: PrivateKey) -> Self {
        let key_identifier = key_identifier(&certificate).unwrap_or_else(|| key.public().identifier());
        Self { certificate, key, key_identifier }
    }

    /// Loads `DIRECTORY/NAME.crt` and `NAME.key`, or makes them. Neither file is ever replaced: an authority that was lost
    /// silently would cut off everybody who trusts it.
    pub fn load_or_create(directory: &Path, name: &str, common_name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let (certificate_path, key_path) =
            (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")));
        let half = |present: &Path, missing: &Path| PkiError::Half {
            present: present.to_owned(),
            missing: missing.to_owned(),
        };
        match (files::read(&certificate_path)?, files::read(&key_path)?) {
            (Some(_), Some(_)) => Self::load(&certificate_path, &key_path),
            (Some(_), None) => Err(half(&certificate_path, &key_path)),
            (None, Some(_)) => Err(half(&key_path, &certificate_path)),
            (None, None) => {
                let ca = Self::create(common_name, now)?;
                files::make_directory(directory)?;
                files::write(&key_path, ca.key.to_pem().as_bytes(), PRIVATE, Loss::Unbearable)?;
                files::write(&certificate_path, ca.certificate.to_pem().as_bytes(), PUBLIC, Loss::Unbearable)?;
                tracing::info!(path = %certificate_path.display(), "made a certificate authority");
                Ok(ca)
            }
        }
    }

    /// Loads an authority that somebody else made, for example kubeadm.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, PkiError> {
        let read = |path: &Path| {
            files::read(path)?.ok_or_else(|| PkiError::File {
                action: "read",
                path: path.to_owned(),
                source: std::io::ErrorKind::NotFound.into(),
            })
        };
        let der = CertificateDer::from_pem_slice(&read(certificate)?)
            .map_err(|_| PkiError::NotPem { path: certificate.to_owned(), what: "certificate" })?;
        let parsed = Certificate::parse(der)?;
        if !parsed.is_authority {
            return Err(PkiError::NotAnAuthority { path: certificate.to_owned() });
        }
        let private = PrivateKey::from_pem(&read(key)?)?;
        if PublicKey::from_spki(&parsed.public_key)? != *private.public() {
            return Err(PkiError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() });
        }
        Ok(Self::new(parsed, private))
    }

    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Makes a key and a certificate for it. It ends no later than the authority.
    pub fn issue(&self, wanted: &Issue, now: Timestamp) -> Result<Identity, PkiError> {
        let key = PrivateKey::generate()?;
        let (not_before, not_after) = self.validity(wanted.ttl(), now)?;
        let der = certificate::sign(&wanted.template(not_before, not_after), key.public(), &self.signer())?;
        Ok(Identity::new(Certificate::parse(der)?, Vec::new(), key))
    }

    /// Signs a request as upstream's controller does: the subject as it stands, names of the usual kinds, none of the
    /// extensions that were asked for. Whether the requester may have what it asks for has been decided before.
    pub fn sign_request(
        &self,
        request: &CertificateRequest,
        policy: &SigningPolicy,
        now: Timestamp,
    ) -> Result<Certificate, PkiError> {
        let (usages, extended_usages): (Vec<KeyUsage>, Vec<ExtendedUsage>) = usages(&policy.usages)?;
        let (not_before, not_after) = self.validity(policy.ttl, now)?;
        let template = Template {
            subject: request.subject.clone(),
            alt_names: request.alt_names.clone(),
            not_before,
            not_after,
            usages,
            extended_usages,
            is_authority: false,
        };
        Certificate::parse(certificate::sign(&template, &request.public_key, &self.signer())?)
    }

    fn validity(&self, ttl: Duration, now: Timestamp) -> Result<(Timestamp, Timestamp), PkiError> {
        let end = self.certificate.not_after;
        if now >= end {
            return Err(PkiError::SignerExpired(end));
        }
        let lifetime = if ttl < SHORT { ttl } else { ttl - BACKDATE };
        let not_after = now.saturating_add(lifetime).unwrap_or(end).min(end);
        Ok((now.saturating_sub(BACKDATE).unwrap_or(now), not_after))
    }

    fn signer(&self) -> Signer<'_> {
        Signer { key: &self.key, name: &self.certificate.subject, key_identifier: Some(&self.key_identifier) }
    }
}

/// The subject key identifier that the authority's certificate has; others name keys in other ways than we do.
fn key_identifier(certificate: &Certificate) -> Option<Vec<u8>> {
    use x509_parser::extensions::ParsedExtension;
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, parsed) = X509Certificate::from_der(&certificate.der).ok()?;
    parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    })
}
