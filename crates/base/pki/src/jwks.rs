//! What the API server publishes about the keys of its service-account tokens: the key set (RFC 7517) and OpenID discovery.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::key::{Algorithm, PublicKey};

/// The fields in the order in which upstream's library writes them.
#[derive(Serialize)]
struct Key<'a> {
    #[serde(rename = "use")]
    purpose: &'static str,
    kty: &'static str,
    kid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    alg: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
}

/// The key's ID: the SHA-256 of its SubjectPublicKeyInfo in base64url, as upstream derives it.
pub(crate) fn key_id(key: &PublicKey) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, key.spki()))
}

pub(crate) fn algorithm_name(key: &PublicKey) -> &'static str {
    key.algorithm().jws_name()
}

/// `{"keys":[…]}`
pub fn jwks(keys: &[PublicKey]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Set<'a> {
        keys: Vec<Key<'a>>,
    }
    let set = Set { keys: keys.iter().map(describe).collect() };
    serde_json::to_vec(&set).expect("strings serialize")
}

fn describe(key: &PublicKey) -> Key<'_> {
    let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
    let (x, y) = key.point().map_or((None, None), |(x, y)| (encode(x), encode(y)));
    let x = if key.algorithm() == Algorithm::Ed25519 { encode(key.raw()) } else { x };
    let (n, e) = key.rsa_numbers().filter(|_| x.is_none()).map_or((None, None), |(n, e)| (encode(&n), encode(&e)));
    let (kty, crv) = match key.algorithm() {
        Algorithm::EcdsaP256 => ("EC", Some("P-256")),
        Algorithm::EcdsaP384 => ("EC", Some("P-384")),
        Algorithm::EcdsaP521 => ("EC", Some("P-521")),
        Algorithm::Ed25519 => ("OKP", Some("Ed25519")),
        Algorithm::Rsa => ("RSA", None),
    };
    Key { purpose: "sig", kty, kid: key_id(key), crv, alg: algorithm_name(key), x, y, n, e }
}

/// The discovery document of an issuer whose keys are at `jwks_uri`.
pub fn discovery_document(issuer: &str, jwks_uri: &str, keys: &[PublicKey]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Document<'a> {
        issuer: &'a str,
        jwks_uri: &'a str,
        response_types_supported: [&'static str; 1],
        subject_types_supported: [&'static str; 1],
        id_token_signing_alg_values_supported: Vec<&'static str>,
    }
    let mut algorithms: Vec<&str> = keys.iter().map(algorithm_name).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    let document = Document {
        issuer,
        jwks_uri,
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: algorithms,
    };
    serde_json::to_vec(&document).expect("strings serialize")
}
