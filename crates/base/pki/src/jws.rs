//! JSON web signatures of other issuers (RFC 7515), and the key sets (RFC 7517) that verify them.
//!
//! Only asymmetric algorithms are known (RFC 7518, sections 3.3 to 3.5): a public key is never a shared secret, and a token without
//! signature is none.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p521::ecdsa::signature::Verifier;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::Value;

use crate::compact::Compact;

/// Keys of a set that are looked at; a provider has a handful.
const KEYS_MAX: usize = 256;

/// An algorithm of signatures that may be accepted from other issuers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    Es256,
    Es384,
    Es512,
    Ps256,
    Ps384,
    Ps512,
    Rs256,
    Rs384,
    Rs512,
}

impl SignatureAlgorithm {
    /// All of them, by their names in the order of the alphabet.
    pub const ALL: [Self; 9] = [
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
    ];

    /// The name in the header of a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// For RSA, how the signature is made.
    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::Es512 => None,
        }
    }
}

/// Why something is no signed token, or no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    #[error("malformed jwt")]
    Malformed,
    #[error("not a JSON web key set")]
    KeySet,
}

/// A token in the compact form, of which nothing has been verified.
#[derive(Clone, Debug)]
pub struct SignedToken<'a> {
    signed: &'a [u8],
    /// As the header names it; it may be none that is known.
    algorithm: String,
    key_id: String,
    claims: serde_json::Map<String, Value>,
    signature: Vec<u8>,
}

impl<'a> SignedToken<'a> {
    /// Takes a token apart. Of a claim that is there twice, the last one counts, here and for whoever reads the claims later.
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        let Compact { algorithm, key_id, payload, signed, signature } =
            Compact::parse(token).ok_or(JwsError::Malformed)?;
        let claims = serde_json::from_slice(&payload).map_err(|_| JwsError::Malformed)?;
        Ok(Self { signed, algorithm, key_id, claims, signature })
    }

    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The ID of the key that is said to have signed it; it may be empty.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Claims that may be anybody's.
    pub fn unverified_claims(&self) -> &serde_json::Map<String, Value> {
        &self.claims
    }
}

/// The public keys of an issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<(String, Key)>,
}

#[derive(Clone, Debug)]
enum Key {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    /// Points of curves, uncompressed.
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Box<p521::ecdsa::VerifyingKey>),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Jwk {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    purpose: String,
    crv: String,
    x: String,
    y: String,
    n: String,
    e: String,
}

impl KeySet {
    /// Reads a set of keys. Those that no algorithm here can use are left out, as RFC 7517 has it.
    pub fn parse(json: &[u8]) -> Result<Self, JwsError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| JwsError::KeySet)?;
        let jwks = set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys = jwks.filter(|jwk| jwk.purpose != "enc").filter_map(|jwk| Some((jwk.kid.clone(), Key::read(&jwk)?)));
        Ok(Self { keys: keys.collect() })
    }

    /// Whether a key of the set has made the token's signature by this algorithm. A token that names a key is tried with keys of that ID
    /// alone.
    pub fn has_signed(&self, token: &SignedToken<'_>, algorithm: SignatureAlgorithm) -> bool {
        let candidates = self.keys.iter().filter(|(id, _)| token.key_id.is_empty() || *id == token.key_id);
        candidates.map(|(_, key)| key).any(|key| key.has_signed(token.signed, &token.signature, algorithm))
    }
}

impl Key {
    fn read(jwk: &Jwk) -> Option<Self> {
        let number = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        if jwk.kty == "RSA" {
            let significant = |bytes: Vec<u8>| bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
            return Some(Self::Rsa(RsaPublicKeyComponents {
                n: significant(number(&jwk.n)?),
                e: significant(number(&jwk.e)?),
            }));
        }
        let point = |size: usize| {
            let (x, y) = (number(&jwk.x)?, number(&jwk.y)?);
            (x.len() == size && y.len() == size).then(|| [&[4], &x[..], &y[..]].concat())
        };
        match (jwk.kty.as_str(), jwk.crv.as_str()) {
            ("EC", "P-256") => Some(Self::P256(point(32)?)),
            ("EC", "P-384") => Some(Self::P384(point(48)?)),
            ("EC", "P-521") => {
                Some(Self::P521(Box::new(p521::ecdsa::VerifyingKey::from_sec1_bytes(&point(66)?).ok()?)))
            }
            _ => None,
        }
    }

    fn has_signed(&self, message: &[u8], signature: &[u8], algorithm: SignatureAlgorithm) -> bool {
        let ecdsa = |by: &'static dyn VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(by, point).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::Rsa(key), algorithm) => {
                algorithm.rsa().is_some_and(|parameters| key.verify(parameters, message, signature).is_ok())
            }
            (Self::P256(point), SignatureAlgorithm::Es256) => ecdsa(&ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), SignatureAlgorithm::Es384) => ecdsa(&ECDSA_P384_SHA384_FIXED, point),
            (Self::P521(key), SignatureAlgorithm::Es512) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            _ => false,
        }
    }
}
