//! Service-account tokens as far as they are JSON web signatures (RFC 7515): signing claims and verifying signatures. What
//! the claims mean is the business of whoever authenticates.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use crate::compact::{self, Compact};
use crate::files::{self, Loss, PRIVATE, PUBLIC};
use crate::key::{Algorithm, PrivateKey, PublicKey};
use crate::{PkiError, jwks};

/// Signs tokens with one key.
#[derive(Debug)]
pub struct TokenSigner {
    key: PrivateKey,
    /// `base64url({"alg":…,"kid":…})` and a dot.
    header: String,
}

/// Verifies tokens with any number of keys: those of earlier signers stay valid for as long as they are listed.
#[derive(Clone, Debug, Default)]
pub struct TokenVerifier {
    keys: Vec<PublicKey>,
    by_id: HashMap<String, usize>,
}

/// A token whose signature is one of ours.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedToken {
    /// The ID of the key that signed it.
    pub key_id: String,
    pub claims: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token of this kind; somebody else may know what to do with it.
    #[error("not a JSON web token")]
    Malformed,
    #[error("invalid signature, no keys found")]
    UnknownKey,
    #[error("invalid signature")]
    Signature,
}

impl TokenSigner {
    pub fn new(key: PrivateKey) -> Self {
        let header = format!(
            "{{\"alg\":\"{}\",\"kid\":\"{}\"}}",
            jwks::algorithm_name(key.public()),
            jwks::key_id(key.public())
        );
        Self { header: URL_SAFE_NO_PAD.encode(header) + ".", key }
    }

    /// Loads `DIRECTORY/NAME.key`, or makes it (ECDSA on P-256: an RSA key would take a hundred milliseconds), and writes
    /// the public part to `NAME.pub`.
    pub fn load_or_create(directory: &Path, name: &str) -> Result<Self, PkiError> {
        let path = directory.join(format!("{name}.key"));
        let public_path = directory.join(format!("{name}.pub"));
        let key = match files::read(&path)? {
            Some(pem) => PrivateKey::from_pem(&pem)?,
            None => {
                let key = PrivateKey::generate()?;
                files::make_directory(directory)?;
                files::write(&path, key.to_pem().as_bytes(), PRIVATE, Loss::Unbearable)?;
                key
            }
        };
        if files::read(&public_path)?.is_none() {
            files::write(&public_path, key.public().to_pem().as_bytes(), PUBLIC, Loss::Bearable)?;
        }
        Ok(Self::new(key))
    }

    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// Signs claims, in the compact form.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, PkiError> {
        let claims = serde_json::to_vec(claims).map_err(|_| PkiError::Sign)?;
        let mut token = self.header.clone();
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.key.sign_fixed(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl TokenVerifier {
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        let mut verifier = Self::default();
        for key in keys {
            let id = jwks::key_id(&key);
            if !verifier.by_id.contains_key(&id) {
                verifier.by_id.insert(id, verifier.keys.len());
                verifier.keys.push(key);
            }
        }
        verifier
    }

    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Verifies a token's signature. The key that it names must have made it; a token that names none is tried with all
    /// keys. Its algorithm must be the key's own.
    pub fn verify(&self, token: &str) -> Result<VerifiedToken, TokenError> {
        let Compact { algorithm, key_id, payload, signed, signature } =
            Compact::parse(token).ok_or(TokenError::Malformed)?;
        let candidates = if key_id.is_empty() {
            &self.keys[..]
        } else {
            let index = *self.by_id.get(&key_id).ok_or(TokenError::UnknownKey)?;
            &self.keys[index..=index]
        };
        if candidates.is_empty() {
            return Err(TokenError::UnknownKey);
        }
        let fits = |key: &&PublicKey| jwks::algorithm_name(key) == algorithm && key.verify_fixed(signed, &signature);
        let key = candidates.iter().find(fits).ok_or(TokenError::Signature)?;
        let claims: Value = serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
        Ok(VerifiedToken { key_id: jwks::key_id(key), claims })
    }

    /// Reads the claims of a token without verifying anything: only to find out whose token it claims to be.
    pub fn unverified_claims(token: &str) -> Option<Value> {
        serde_json::from_slice(&compact::payload(token)?).ok()
    }
}

impl Algorithm {
    /// The name in JSON web signatures.
    pub fn jws_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ES256",
            Self::EcdsaP384 => "ES384",
            Self::EcdsaP521 => "ES512",
            Self::Ed25519 => "EdDSA",
            Self::Rsa => "RS256",
        }
    }
}
