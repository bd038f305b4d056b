//! Who a client certificate is, as upstream's x509 authenticator says: the common name is the user, organizations are
//! groups.

use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use crate::PkiError;

/// Where upstream looks for a user's UID.
const OID_UID: Oid<'static> = oid!(1.3.6.1.4.1.57683.2);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    pub name: String,
    /// Empty when the certificate has none.
    pub uid: String,
    pub groups: Vec<String>,
    /// `X509SHA256=` and the certificate's fingerprint: the extra `authentication.kubernetes.io/credential-id`.
    pub credential_id: String,
}

/// Verifies client certificates against one set of authorities.
#[derive(Clone, Debug)]
pub struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
}

impl ClientVerifier {
    pub fn new<'a>(authorities: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> Result<Self, PkiError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(PkiError::Tls)?;
        }
        let inner = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
            .build()
            .map_err(|error| PkiError::Verifier(error.to_string()))?;
        Ok(Self { inner })
    }

    /// Verifies a chain, the client's certificate first, and says who it is; `None` for a valid certificate without a
    /// common name, which says nothing about its bearer.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Option<ClientIdentity>, PkiError> {
        let Some((certificate, intermediates)) = chain.split_first() else { return Ok(None) };
        let since_epoch = std::time::Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
        self.inner
            .verify_client_cert(certificate, intermediates, UnixTime::since_unix_epoch(since_epoch))
            .map_err(PkiError::Tls)?;
        client_identity(certificate)
    }
}

/// Reads the identity out of a certificate that has been verified.
pub fn client_identity(certificate: &CertificateDer<'_>) -> Result<Option<ClientIdentity>, PkiError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| PkiError::Certificate(error.to_string()))?;
    let (name, groups) = subject(parsed.subject())?;
    if name.is_empty() {
        return Ok(None);
    }
    let uids: Vec<String> = parsed.subject().iter_by_oid(&OID_UID).map(text).collect::<Result<_, _>>()?;
    let uid = match uids.as_slice() {
        [] => String::new(),
        [uid] if uid.is_empty() => return Err(PkiError::Certificate("UID cannot be an empty string".to_owned())),
        [uid] => uid.clone(),
        many => return Err(PkiError::Certificate(format!("expected 1 UID, but found multiple: {many:?}"))),
    };
    let mut credential_id = String::from("X509SHA256=");
    for byte in ::ring::digest::digest(&::ring::digest::SHA256, certificate).as_ref() {
        // Writing to a string does not fail.
        let _ = write!(credential_id, "{byte:02x}");
    }
    Ok(Some(ClientIdentity { name, uid, groups, credential_id }))
}

/// Common name (the last one counts, as in Go) and organizations.
pub(crate) fn subject(name: &X509Name<'_>) -> Result<(String, Vec<String>), PkiError> {
    let common_name = name.iter_common_name().last().map(text).transpose()?.unwrap_or_default();
    let organizations = name.iter_organization().map(text).collect::<Result<_, _>>()?;
    Ok((common_name, organizations))
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> Result<String, PkiError> {
    let unreadable = |_| PkiError::Certificate("a name in its subject cannot be read".to_owned());
    attribute.as_str().map(str::to_owned).map_err(unreadable)
}
