//! Public keys of those who ask for certificates, before it is known whether anything can be done with them: which kind a key is of, and
//! whether the asker has it.
//!
//! A [`PublicKey`] verifies signatures, and refuses what it cannot verify with; here every key that can be parsed has a kind, so that
//! whoever refuses it can say why.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as Parsed;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::{PkiError, PublicKey, proof, request};

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Ed25519,
    /// With the curve's name, such as `P-256`.
    Ecdsa(&'static str),
    /// With the length of the modulus in whole bytes, in bits.
    Rsa {
        bits: usize,
    },
    /// Parsed, and of no kind that is known.
    Other,
}

/// A public key in the form of a SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug)]
pub struct SubjectKey<'a> {
    spki: &'a [u8],
    kind: KeyKind,
}

/// The curves that Go knows by the contents of their object identifiers.
const CURVES: [(&[u8], &str); 4] = [
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "P-224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], "P-256"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x22], "P-384"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
];
const OID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

impl<'a> SubjectKey<'a> {
    /// Reads a SubjectPublicKeyInfo.
    pub fn parse(spki: &'a [u8]) -> Result<Self, PkiError> {
        let unreadable = |_| PkiError::PublicKey("it cannot be parsed");
        let (rest, parsed) = SubjectPublicKeyInfo::from_der(spki).map_err(unreadable)?;
        if !rest.is_empty() {
            return Err(PkiError::PublicKey("something follows it"));
        }
        Self::of(&parsed)
    }

    fn of(parsed: &SubjectPublicKeyInfo<'a>) -> Result<Self, PkiError> {
        let kind = match parsed.algorithm.algorithm.as_bytes() {
            OID_RSA => match parsed.parsed() {
                Ok(Parsed::RSA(key)) => {
                    let bytes = key.modulus.iter().skip_while(|byte| **byte == 0).count();
                    KeyKind::Rsa { bits: bytes * 8 }
                }
                _ => return Err(PkiError::PublicKey("it is no RSA key")),
            },
            OID_EC_PUBLIC_KEY => {
                let curve = parsed.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
                let known = CURVES.iter().find(|(oid, _)| curve.as_ref().is_some_and(|curve| curve.as_bytes() == *oid));
                KeyKind::Ecdsa(known.ok_or(PkiError::PublicKey("its curve is unknown"))?.1)
            }
            OID_ED25519 if parsed.subject_public_key.data.len() == 32 => KeyKind::Ed25519,
            OID_ED25519 => return Err(PkiError::PublicKey("it is no Ed25519 key")),
            _ => KeyKind::Other,
        };
        Ok(Self { spki: parsed.raw, kind })
    }

    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> &'a [u8] {
        self.spki
    }

    /// Whether `signature` proves that its maker has this key: one over the SHA-256 of the message (with Ed25519, over the message
    /// itself), ECDSA's in ASN.1 and RSA's with PSS.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        PublicKey::from_spki(self.spki).is_ok_and(|key| proof::verify_possession(&key, message, signature))
    }
}

/// The key that a certificate request (PKCS#10) is about. What else it says does not matter here.
#[derive(Debug)]
pub struct RequestedKey<'a> {
    request: X509CertificationRequest<'a>,
    key: SubjectKey<'a>,
}

impl<'a> RequestedKey<'a> {
    /// Reads a request without looking at its signature.
    pub fn parse(der: &'a [u8]) -> Result<Self, PkiError> {
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|error| PkiError::Request(error.to_string()))?;
        if !rest.is_empty() {
            return Err(PkiError::Request("trailing data".to_owned()));
        }
        let key = SubjectKey::of(&request.certification_request_info.subject_pki)?;
        Ok(Self { request, key })
    }

    pub fn key(&self) -> SubjectKey<'a> {
        self.key
    }

    /// Whether the request is signed with the key that it is about.
    pub fn is_signed(&self) -> bool {
        request::is_signed(&self.request)
    }
}
