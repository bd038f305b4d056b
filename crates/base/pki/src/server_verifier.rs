//! Whose certificate a server may show to a client, as Go sees it.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::PkiError;

/// Verifies a server's certificate as webpki does, and takes that of a trusted authority itself, which webpki does not: who tries out a
/// webhook makes one certificate (`openssl req -x509`) and has it both shown and trusted.
#[derive(Debug)]
pub struct ServerVerifier {
    inner: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
}

/// A certificate whose only name stands where browsers and Go no longer look for it.
#[derive(Debug)]
struct LegacyCommonName;

impl fmt::Display for LegacyCommonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("certificate relies on legacy Common Name field, use SANs instead")
    }
}

impl std::error::Error for LegacyCommonName {}

impl ServerVerifier {
    /// Fails where there are no roots.
    pub fn new(roots: RootCertStore, provider: Arc<CryptoProvider>) -> Result<Self, PkiError> {
        let roots = Arc::new(roots);
        let inner = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider);
        let inner = inner.build().map_err(|error| PkiError::Verifier(error.to_string()))?;
        Ok(Self { inner, roots })
    }

    /// Whether a certificate has the name and the key of a trusted authority, which may vouch for any name. That the server has the key is
    /// proven by the handshake, and whoever has it could sign whatever certificate is wanted.
    fn is_root(&self, certificate: &CertificateDer<'_>) -> bool {
        let mut own = RootCertStore::empty();
        if own.add(certificate.clone().into_owned()).is_err() {
            return false;
        }
        self.roots.roots.iter().any(|root| root.name_constraints.is_none() && own.roots.contains(root))
    }
}

/// Verifies all of a trusted authority's own certificate that is said of servers': its dates, its names, and what it is for.
fn verify_root(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let parsed = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?.1;
    let time =
        |seconds: i64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    let not_before = time(parsed.validity().not_before.timestamp());
    let not_after = time(parsed.validity().not_after.timestamp());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    let read = ParsedCertificate::try_from(certificate).map_err(certificate_error)?;
    rustls::client::verify_server_name(&read, name).map_err(certificate_error)?;
    // What keys are for is not looked at, as in Go; whether there is an extended usage, and another one.
    let usage = parsed.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    match usage {
        Some(usage) if !usage.value.server_auth && !usage.value.any => Err(CertificateError::InvalidPurpose),
        _ => Ok(()),
    }
}

fn certificate_error(error: Error) -> CertificateError {
    match error {
        Error::InvalidCertificate(error) => error,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    }
}

/// Says of a certificate for another name that it has the right one at the wrong place.
fn explained(error: Error, certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Error {
    let is_for_another_name = matches!(
        error,
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })
    );
    if is_for_another_name && is_common_name(certificate, &name.to_str()) {
        return CertificateError::Other(OtherError(Arc::new(LegacyCommonName))).into();
    }
    error
}

fn is_common_name(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let has_names = !matches!(parsed.subject_alternative_name(), Ok(None));
    let common = parsed.subject().iter_common_name().last().and_then(|name| name.as_str().ok());
    let Some(common) = common.filter(|_| !has_names) else { return false };
    let is_below = |domain: &str| host.split_once('.').is_some_and(|(_, above)| above.eq_ignore_ascii_case(domain));
    common.eq_ignore_ascii_case(host) || common.strip_prefix("*.").is_some_and(is_below)
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        stapled: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(certificate, intermediates, name, stapled, now);
        let verified = match verified {
            Err(_) if self.is_root(certificate) => verify_root(certificate, name, now)
                .map(|()| ServerCertVerified::assertion())
                .map_err(Error::InvalidCertificate),
            other => other,
        };
        verified.map_err(|error| explained(error, certificate, name))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
        KeyUsagePurpose, NameConstraints, date_time_ymd,
    };

    use super::*;

    /// Certificates as `openssl req -x509` makes them, shown and trusted.
    fn answer(names: &[&str], host: &str, change: impl FnOnce(&mut CertificateParams)) -> Result<(), String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "hook.ns.svc");
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        verify(roots, certificate.der(), host)
    }

    fn verify(roots: RootCertStore, shown: &CertificateDer<'_>, host: &str) -> Result<(), String> {
        let verifier = ServerVerifier::new(roots, Arc::new(rustls::crypto::ring::default_provider())).unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_800_000_000));
        match verifier.verify_server_cert(shown, &[], &name, &[], now) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(CertificateError::Other(OtherError(error)))) => Err(error.to_string()),
            Err(Error::InvalidCertificate(error)) => {
                Err(format!("{error:?}").split([' ', '(']).next().unwrap().to_owned())
            }
            Err(other) => Err(format!("not about the certificate: {other}")),
        }
    }

    #[test]
    fn an_authority_may_show_its_own_certificate() {
        let names = ["hook.ns.svc", "10.0.0.1"];
        let same = |_: &mut CertificateParams| {};
        assert_eq!(answer(&names, "hook.ns.svc", same), Ok(()));
        assert_eq!(answer(&names, "10.0.0.1", same), Ok(()));
        assert_eq!(answer(&names, "hook.ns.svc", |params| params.is_ca = IsCa::NoCa), Ok(()));
        let signs = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        assert_eq!(answer(&names, "hook.ns.svc", signs), Ok(()), "usages of keys are not looked at");
        let serves = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        };
        assert_eq!(answer(&names, "hook.ns.svc", serves), Ok(()));
    }

    #[test]
    fn what_is_said_of_servers_is_said_of_authorities() {
        let names = ["hook.ns.svc"];
        let wrong = |what: &str| Err(what.to_owned());
        assert_eq!(answer(&names, "other.ns.svc", |_| ()), wrong("NotValidForNameContext"));
        assert_eq!(answer(&names, "10.0.0.1", |_| ()), wrong("NotValidForNameContext"));
        let legacy = "certificate relies on legacy Common Name field, use SANs instead";
        assert_eq!(answer(&[], "hook.ns.svc", |_| ()), wrong(legacy));
        assert_eq!(answer(&[], "other.ns.svc", |_| ()), wrong("NotValidForNameContext"));
        let expired = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
        assert_eq!(answer(&names, "hook.ns.svc", expired), wrong("ExpiredContext"));
        let early = |params: &mut CertificateParams| params.not_before = date_time_ymd(2040, 1, 1);
        assert_eq!(answer(&names, "hook.ns.svc", early), wrong("NotValidYetContext"));
        let asks = |params: &mut CertificateParams| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        };
        assert_eq!(answer(&names, "hook.ns.svc", asks), wrong("InvalidPurpose"));
        let constrained = |params: &mut CertificateParams| {
            let permitted_subtrees = vec![GeneralSubtree::DnsName("elsewhere".to_owned())];
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        };
        assert!(answer(&names, "hook.ns.svc", constrained).is_err());
    }

    #[test]
    fn another_key_under_the_same_name_is_nobody() {
        let made = || {
            let mut params = CertificateParams::new(vec!["hook.ns.svc".to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.self_signed(&KeyPair::generate().unwrap()).unwrap()
        };
        let mut roots = RootCertStore::empty();
        roots.add(made().der().clone()).unwrap();
        assert!(verify(roots, made().der(), "hook.ns.svc").is_err());
    }
}
