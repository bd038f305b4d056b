//! Certificate requests (PKCS#10), as the certificates API receives them from strangers.

use std::net::IpAddr;

use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::certificate::{self, AltName, CLIENT_AUTH, ExtendedUsage, KeyUsage, SERVER_AUTH};
use crate::key::{Algorithm, PrivateKey, PublicKey};
use crate::{PkiError, der, proof};

/// A request whose signature has been verified: the requester has the key.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    pub common_name: String,
    pub organizations: Vec<String>,
    pub dns_names: Vec<String>,
    pub ip_addresses: Vec<IpAddr>,
    pub email_addresses: Vec<String>,
    pub uris: Vec<String>,
    /// DER of the Name, as it stands in the request.
    pub(crate) subject: Vec<u8>,
    pub(crate) alt_names: Vec<AltName>,
    pub(crate) public_key: PublicKey,
}

impl CertificateRequest {
    /// Reads what `spec.request` of a CertificateSigningRequest holds.
    pub fn from_pem(pem: &[u8]) -> Result<Self, PkiError> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem)
            .map_err(|_| PkiError::Request("PEM block type must be CERTIFICATE REQUEST".to_owned()))?;
        Self::from_der(&der)
    }

    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let bad = |what: &str| PkiError::Request(what.to_owned());
        let (rest, parsed) =
            X509CertificationRequest::from_der(der).map_err(|error| PkiError::Request(error.to_string()))?;
        if !rest.is_empty() {
            return Err(bad("trailing data"));
        }
        // Before anything else: nobody else's key is certified.
        if !is_signed(&parsed) {
            return Err(PkiError::RequestSignature);
        }
        let info = &parsed.certification_request_info;
        let (common_name, organizations) =
            crate::client_identity::subject(&info.subject).map_err(|error| PkiError::Request(error.to_string()))?;
        let mut alt_names = Vec::new();
        for extension in parsed.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                for name in &names.general_names {
                    alt_names
                        .extend(AltName::from_general(name).map_err(|error| PkiError::Request(error.to_string()))?);
                }
            }
        }
        let mut request = Self {
            common_name,
            organizations,
            dns_names: Vec::new(),
            ip_addresses: Vec::new(),
            email_addresses: Vec::new(),
            uris: Vec::new(),
            subject: info.subject.as_raw().to_vec(),
            public_key: PublicKey::from_spki(info.subject_pki.raw)
                .map_err(|error| PkiError::Request(error.to_string()))?,
            alt_names,
        };
        for name in request.alt_names.clone() {
            match name {
                AltName::Dns(name) => request.dns_names.push(name),
                AltName::Email(address) => request.email_addresses.push(address),
                AltName::Uri(uri) => request.uris.push(uri),
                AltName::Ip(address) => request.ip_addresses.push(address),
            }
        }
        Ok(request)
    }
}

/// Whether whoever made the request has the key that it is about.
pub(crate) fn is_signed(request: &X509CertificationRequest<'_>) -> bool {
    let info = &request.certification_request_info;
    match PublicKey::from_spki(info.subject_pki.raw) {
        Ok(key) if key.algorithm() == Algorithm::EcdsaP521 => {
            let hash = request.signature_algorithm.algorithm.as_bytes();
            proof::verify_p521(key.raw(), hash, info.raw, &request.signature_value.data)
        }
        _ => request.verify_signature().is_ok(),
    }
}

impl PrivateKey {
    /// A request that names nobody: it brings the public key to a signer, who decides what the certificate says, and proves that
    /// we have the private one.
    pub fn stub_request(&self) -> Result<Vec<u8>, PkiError> {
        let nobody = certificate::name("", &[]);
        let info = der::sequence(&[der::unsigned(&[0]), nobody, self.public().spki().to_vec(), der::context(0, &[])]);
        let signature = self.sign_der(&info)?;
        Ok(der::sequence(&[info, self.signature_algorithm(), der::bit_string(&signature)]))
    }
}

/// The usages that the certificates API names, in the order of their numbers.
pub(crate) fn usages(names: &[String]) -> Result<(Vec<KeyUsage>, Vec<ExtendedUsage>), PkiError> {
    let (mut usages, mut extended): (Vec<KeyUsage>, Vec<ExtendedUsage>) = (Vec::new(), Vec::new());
    let mut unknown = Vec::new();
    for name in names {
        match usage(name) {
            Some(Usage::Key(usage)) if !usages.contains(&usage) => usages.push(usage),
            Some(Usage::Extended(usage)) if !extended.contains(&usage) => extended.push(usage),
            Some(_) => {}
            None => unknown.push(name.clone()),
        }
    }
    if !unknown.is_empty() {
        return Err(PkiError::Usages(unknown));
    }
    usages.sort_by_key(|usage| *usage as u8);
    extended.sort_unstable();
    Ok((usages, extended))
}

enum Usage {
    Key(KeyUsage),
    Extended(ExtendedUsage),
}

fn usage(name: &str) -> Option<Usage> {
    Some(match name {
        "signing" | "digital signature" => Usage::Key(KeyUsage::DigitalSignature),
        "content commitment" => Usage::Key(KeyUsage::ContentCommitment),
        "key encipherment" => Usage::Key(KeyUsage::KeyEncipherment),
        "key agreement" => Usage::Key(KeyUsage::KeyAgreement),
        "data encipherment" => Usage::Key(KeyUsage::DataEncipherment),
        "cert sign" => Usage::Key(KeyUsage::CertSign),
        "crl sign" => Usage::Key(KeyUsage::CrlSign),
        "encipher only" => Usage::Key(KeyUsage::EncipherOnly),
        "decipher only" => Usage::Key(KeyUsage::DecipherOnly),
        "any" => Usage::Extended(&[0x55, 0x1d, 0x25, 0]),
        "server auth" => Usage::Extended(SERVER_AUTH),
        "client auth" => Usage::Extended(CLIENT_AUTH),
        "code signing" => Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 3]),
        "email protection" | "s/mime" => Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 4]),
        "ipsec end system" => Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 5]),
        "ipsec tunnel" => Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 6]),
        "ipsec user" => Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 7]),
        "timestamping" => Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 8]),
        "ocsp signing" => Usage::Extended(&[0x2b, 6, 1, 5, 5, 7, 3, 9]),
        "microsoft sgc" => Usage::Extended(&[0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3]),
        "netscape sgc" => Usage::Extended(&[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1]),
        _ => return None,
    })
}
