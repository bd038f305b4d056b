//! Private and public keys: ECDSA on P-256 is what we make for ourselves; users bring others, and pods ask for them.
//!
//! P-521 and the making of RSA keys are the business of libraries of their own, for ring has neither.

#![expect(clippy::disallowed_methods, reason = "keys and signatures are made of the kernel's random numbers")]

use p521::ecdsa::signature::{Signer, Verifier};
use p521::pkcs8::DecodePrivateKey;
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RsaKeyPair, UnparsedPublicKey,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;
use zeroize::Zeroizing;

use crate::{PkiError, der, pem};

/// 1.2.840.10045.2.1
const OID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.132.0.35
const OID_P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
/// 1.3.101.112
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 1.2.840.113549.1.1.1
const OID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.4.3.2
const OID_ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// 1.2.840.10045.4.3.3
const OID_ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
/// 1.2.840.10045.4.3.4
const OID_ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
/// 1.2.840.113549.1.1.11
const OID_RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
    Rsa,
}

/// A key that signs. Its private part is wiped from memory when dropped.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    P521(Box<p521::ecdsa::SigningKey>),
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(Box<RsaKeyPair>),
}

/// A key that verifies, with its encoding as SubjectPublicKeyInfo.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    /// An uncompressed point, the 32 bytes of an Ed25519 key, or an RSAPublicKey.
    raw: Vec<u8>,
    spki: Vec<u8>,
}

impl PrivateKey {
    /// A new key on P-256. Takes some tens of microseconds.
    pub fn generate() -> Result<Self, PkiError> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| PkiError::Random)?;
        Self::from_pkcs8(Zeroizing::new(pkcs8.as_ref().to_vec()))
    }

    /// Reads the first key of a PEM file: PKCS#8, PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`).
    pub fn from_pem(text: &[u8]) -> Result<Self, PkiError> {
        let bad = |error: rustls_pki_types::pem::Error| PkiError::PrivateKey(error.to_string());
        match PrivateKeyDer::from_pem_slice(text).map_err(bad)? {
            PrivateKeyDer::Pkcs8(key) => Self::from_pkcs8(Zeroizing::new(key.secret_pkcs8_der().to_vec())),
            PrivateKeyDer::Pkcs1(key) => {
                let algorithm = der::sequence(&[der::oid(OID_RSA), der::null()]);
                Self::from_pkcs8(wrap(&algorithm, key.secret_pkcs1_der()))
            }
            PrivateKeyDer::Sec1(key) => {
                // The curve may stand in the algorithm alone; the one that parses is it.
                let with = |curve| {
                    let algorithm = der::sequence(&[der::oid(OID_EC_PUBLIC_KEY), der::oid(curve)]);
                    Self::from_pkcs8(wrap(&algorithm, key.secret_sec1_der()))
                };
                with(OID_P256).or_else(|_| with(OID_P384)).or_else(|_| with(OID_P521))
            }
            _ => Err(PkiError::PrivateKey("an unknown kind of key".to_owned())),
        }
    }

    pub(crate) fn from_pkcs8(pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, PkiError> {
        let random = SystemRandom::new();
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &random);
        if let Ok(pair) = ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING) {
            let public = PublicKey::new(Algorithm::EcdsaP256, pair.public_key().as_ref().to_vec());
            return Ok(Self { pair: Pair::Ecdsa(Box::new(pair)), public, pkcs8 });
        }
        if let Ok(pair) = ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING) {
            let public = PublicKey::new(Algorithm::EcdsaP384, pair.public_key().as_ref().to_vec());
            return Ok(Self { pair: Pair::Ecdsa(Box::new(pair)), public, pkcs8 });
        }
        if let Ok(pair) = p521::ecdsa::SigningKey::from_pkcs8_der(&pkcs8) {
            let point = pair.verifying_key().to_sec1_point(false);
            let public = PublicKey::new(Algorithm::EcdsaP521, point.as_bytes().to_vec());
            return Ok(Self { pair: Pair::P521(Box::new(pair)), public, pkcs8 });
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8) {
            let public = PublicKey::new(Algorithm::Ed25519, pair.public_key().as_ref().to_vec());
            return Ok(Self { pair: Pair::Ed25519(Box::new(pair)), public, pkcs8 });
        }
        match RsaKeyPair::from_pkcs8(&pkcs8) {
            Ok(pair) => {
                let public = PublicKey::new(Algorithm::Rsa, pair.public_key().as_ref().to_vec());
                Ok(Self { pair: Pair::Rsa(Box::new(pair)), public, pkcs8 })
            }
            Err(error) => Err(PkiError::PrivateKey(format!(
                "use ECDSA on P-256, P-384 or P-521, Ed25519, or RSA with 2048 to 4096 bits ({error})"
            ))),
        }
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 in PEM.
    pub fn to_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::pem_encode("PRIVATE KEY", &self.pkcs8))
    }

    /// For rustls.
    pub fn to_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()).into()
    }

    /// A signature in the form that JSON web signatures have: for ECDSA the two numbers, each of full length.
    pub(crate) fn sign_fixed(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(|_| PkiError::Sign)?.as_ref().to_vec()),
            Pair::P521(pair) => {
                let signed: p521::ecdsa::Signature = pair.try_sign(message).map_err(|_| PkiError::Sign)?;
                Ok(signed.to_bytes().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out).map_err(|_| PkiError::Sign)?;
                Ok(out)
            }
        }
    }

    /// A signature in the form that certificates have.
    pub(crate) fn sign_der(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let fixed = self.sign_fixed(message)?;
        Ok(match self.public.algorithm {
            Algorithm::Rsa | Algorithm::Ed25519 => fixed,
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => {
                let (r, s) = fixed.split_at(fixed.len() / 2);
                der::sequence(&[der::unsigned(r), der::unsigned(s)])
            }
        })
    }

    /// The AlgorithmIdentifier of [`PrivateKey::sign_der`].
    pub(crate) fn signature_algorithm(&self) -> Vec<u8> {
        match self.public.algorithm {
            Algorithm::EcdsaP256 => der::sequence(&[der::oid(OID_ECDSA_SHA256)]),
            Algorithm::EcdsaP384 => der::sequence(&[der::oid(OID_ECDSA_SHA384)]),
            Algorithm::EcdsaP521 => der::sequence(&[der::oid(OID_ECDSA_SHA512)]),
            Algorithm::Ed25519 => der::sequence(&[der::oid(OID_ED25519)]),
            Algorithm::Rsa => der::sequence(&[der::oid(OID_RSA_SHA256), der::null()]),
        }
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("algorithm", &self.public.algorithm).finish_non_exhaustive()
    }
}

/// A private key of another encoding as PKCS#8.
fn wrap(algorithm: &[u8], key: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = Zeroizing::new(der::octet_string(key));
    Zeroizing::new(der::sequence(&[&der::unsigned(&[0])[..], algorithm, &key]))
}

/// PKCS#8 of an Ed25519 key without its public part, which readers of the older version do not know (RFC 8410, section 7).
pub(crate) fn ed25519_pkcs8(seed: &[u8]) -> Zeroizing<Vec<u8>> {
    let seed = Zeroizing::new(der::octet_string(seed));
    wrap(&der::sequence(&[der::oid(OID_ED25519)]), &seed)
}

impl PublicKey {
    fn new(algorithm: Algorithm, raw: Vec<u8>) -> Self {
        let identifier = match algorithm {
            Algorithm::EcdsaP256 => der::sequence(&[der::oid(OID_EC_PUBLIC_KEY), der::oid(OID_P256)]),
            Algorithm::EcdsaP384 => der::sequence(&[der::oid(OID_EC_PUBLIC_KEY), der::oid(OID_P384)]),
            Algorithm::EcdsaP521 => der::sequence(&[der::oid(OID_EC_PUBLIC_KEY), der::oid(OID_P521)]),
            Algorithm::Ed25519 => der::sequence(&[der::oid(OID_ED25519)]),
            Algorithm::Rsa => der::sequence(&[der::oid(OID_RSA), der::null()]),
        };
        let spki = der::sequence(&[identifier, der::bit_string(&raw)]);
        Self { algorithm, raw, spki }
    }

    /// Reads a SubjectPublicKeyInfo; refuses what no signature can be verified with.
    pub fn from_spki(spki: &[u8]) -> Result<Self, PkiError> {
        let unreadable = |_| PkiError::PublicKey("it cannot be parsed");
        let (rest, parsed) = SubjectPublicKeyInfo::from_der(spki).map_err(unreadable)?;
        if !rest.is_empty() {
            return Err(PkiError::PublicKey("something follows it"));
        }
        let oid = parsed.algorithm.algorithm.as_bytes();
        let curve = parsed.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        let raw = parsed.subject_public_key.data.to_vec();
        let algorithm = match (oid, curve.as_ref().map(|curve| curve.as_bytes())) {
            (OID_EC_PUBLIC_KEY, Some(OID_P256)) if raw.len() == 65 && raw[0] == 4 => Algorithm::EcdsaP256,
            (OID_EC_PUBLIC_KEY, Some(OID_P384)) if raw.len() == 97 && raw[0] == 4 => Algorithm::EcdsaP384,
            (OID_EC_PUBLIC_KEY, Some(OID_P521)) if p521::ecdsa::VerifyingKey::from_sec1_bytes(&raw).is_ok() => {
                Algorithm::EcdsaP521
            }
            (OID_ED25519, None) if raw.len() == 32 => Algorithm::Ed25519,
            (OID_RSA, _) => Algorithm::Rsa,
            _ => return Err(PkiError::PublicKey("use ECDSA on P-256, P-384 or P-521, Ed25519, or RSA")),
        };
        let key = Self::new(algorithm, raw);
        if algorithm == Algorithm::Rsa && !(2048..=8192).contains(&key.rsa_bits()?) {
            return Err(PkiError::PublicKey("RSA keys must have 2048 to 8192 bits"));
        }
        Ok(key)
    }

    /// Reads every key of a PEM file: public keys, certificates' keys, or the public part of private keys.
    pub fn all_from_pem(text: &[u8]) -> Result<Vec<Self>, PkiError> {
        let mut keys = Vec::new();
        for spki in SubjectPublicKeyInfoDer::pem_slice_iter(text) {
            let spki = spki.map_err(|_| PkiError::PublicKey("the PEM cannot be read"))?;
            keys.push(Self::from_spki(&spki)?);
        }
        for certificate in CertificateDer::pem_slice_iter(text) {
            let certificate = certificate.map_err(|_| PkiError::PublicKey("the PEM cannot be read"))?;
            let unreadable = |_| PkiError::PublicKey("its certificate cannot be parsed");
            let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&certificate).map_err(unreadable)?;
            keys.push(Self::from_spki(parsed.public_key().raw)?);
        }
        if keys.is_empty() {
            keys.push(PrivateKey::from_pem(text)?.public);
        }
        Ok(keys)
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub fn to_pem(&self) -> String {
        pem::pem_encode("PUBLIC KEY", &self.spki)
    }

    /// What certificates name the key by: the first 160 bits of the SHA-256 of its bits (RFC 7093, section 2, as Go does).
    pub(crate) fn identifier(&self) -> Vec<u8> {
        ring::digest::digest(&ring::digest::SHA256, &self.raw).as_ref()[..20].to_vec()
    }

    /// The coordinates of an ECDSA key.
    pub(crate) fn point(&self) -> Option<(&[u8], &[u8])> {
        match self.algorithm {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 | Algorithm::EcdsaP521 => {
                Some(self.raw[1..].split_at(self.raw.len() / 2))
            }
            Algorithm::Ed25519 | Algorithm::Rsa => None,
        }
    }

    /// The bits of the key itself: a point, the 32 bytes of an Ed25519 key, or an RSAPublicKey.
    pub(crate) fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Modulus and exponent of an RSA key, without leading zeros.
    pub(crate) fn rsa_numbers(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (_, key) = x509_parser::public_key::RSAPublicKey::from_der(&self.raw).ok()?;
        let trim = |number: &[u8]| number.iter().copied().skip_while(|b| *b == 0).collect();
        Some((trim(key.modulus), trim(key.exponent)))
    }

    fn rsa_bits(&self) -> Result<usize, PkiError> {
        let (modulus, _) = self.rsa_numbers().ok_or(PkiError::PublicKey("it cannot be parsed"))?;
        Ok(modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize))
    }

    /// Whether `signature`, in the form of JSON web signatures, is this key's.
    pub(crate) fn verify_fixed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verification: &dyn signature::VerificationAlgorithm = match self.algorithm {
            Algorithm::EcdsaP256 => &signature::ECDSA_P256_SHA256_FIXED,
            Algorithm::EcdsaP384 => &signature::ECDSA_P384_SHA384_FIXED,
            Algorithm::EcdsaP521 => return self.verify_p521(message, signature),
            Algorithm::Ed25519 => &signature::ED25519,
            Algorithm::Rsa => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(verification, &self.raw).verify(message, signature).is_ok()
    }

    fn verify_p521(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = p521::ecdsa::VerifyingKey::from_sec1_bytes(&self.raw) else { return false };
        p521::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
