//! Tokens of other issuers, with keys of each algorithm, and what only looks like one.

#![expect(clippy::disallowed_methods, reason = "keys and signatures are made of the kernel's random numbers")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p521::ecdsa::signature::Signer;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
    RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use windlass_pki::{JwsError, KeySet, PrivateKey, SignatureAlgorithm, SignedToken};

use SignatureAlgorithm::{Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

/// A key of each kind.
struct Keys {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    p521: p521::ecdsa::SigningKey,
}

impl Keys {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ecdsa = |algorithm| {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
        };
        let rsa = PrivateKey::from_pem(include_bytes!("data/rsa-pkcs8.pem")).unwrap();
        Self {
            rsa: RsaKeyPair::from_pkcs8(rsa.to_der().secret_der()).unwrap(),
            p256: ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            p521: p521::ecdsa::SigningKey::from_slice(&[[0; 2].as_slice(), &[7; 64]].concat()).unwrap(),
        }
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |padding: &'static dyn ring::signature::RsaEncoding| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match algorithm {
            Rs256 => rsa(&RSA_PKCS1_SHA256),
            Rs384 => rsa(&RSA_PKCS1_SHA384),
            Rs512 => rsa(&RSA_PKCS1_SHA512),
            Ps256 => rsa(&RSA_PSS_SHA256),
            Ps384 => rsa(&RSA_PSS_SHA384),
            Ps512 => rsa(&RSA_PSS_SHA512),
            Es256 => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            Es384 => self.p384.sign(&random, message).unwrap().as_ref().to_vec(),
            Es512 => {
                let signature: p521::ecdsa::Signature = self.p521.sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }

    fn token(&self, header: &Value, algorithm: SignatureAlgorithm) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(&json!({"iss": "https://issuer"})));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn jwks(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let curve = |name: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            json!({"kty": "EC", "kid": name, "crv": name, "x": encode(x), "y": encode(y), "use": "sig"})
        };
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let p521 = self.p521.verifying_key().to_sec1_point(false);
        json!({"keys": [
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "OKP", "kid": "newer", "crv": "Ed25519", "x": "AAAA"},
            {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
            {"kty": 1},
            {"kty": "RSA", "kid": "RSA", "n": encode(&rsa.n), "e": encode(&rsa.e), "alg": "RS256"},
            curve("P-256", self.p256.public_key().as_ref()),
            curve("P-384", self.p384.public_key().as_ref()),
            curve("P-521", p521.as_bytes()),
        ]})
    }
}

fn key_of(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        Es256 => "P-256",
        Es384 => "P-384",
        Es512 => "P-521",
        _ => "RSA",
    }
}

#[test]
fn every_algorithm_verifies_what_it_has_signed_and_nothing_else() {
    let keys = Keys::new();
    let set = KeySet::parse(keys.jwks().to_string().as_bytes()).unwrap();
    for algorithm in SignatureAlgorithm::ALL {
        assert_eq!(SignatureAlgorithm::parse(algorithm.name()), Some(algorithm));
        let token = keys.token(&json!({"alg": algorithm.name(), "kid": key_of(algorithm)}), algorithm);
        let parsed = SignedToken::parse(&token).unwrap();
        assert_eq!((parsed.algorithm(), parsed.key_id()), (algorithm.name(), key_of(algorithm)));
        for other in SignatureAlgorithm::ALL {
            assert_eq!(set.has_signed(&parsed, other), other == algorithm, "{algorithm:?} as {other:?}");
        }
        let nameless = keys.token(&json!({"alg": algorithm.name()}), algorithm);
        assert!(set.has_signed(&SignedToken::parse(&nameless).unwrap(), algorithm), "{algorithm:?} without kid");
        let elsewhere = keys.token(&json!({"alg": algorithm.name(), "kid": "newer"}), algorithm);
        assert!(!set.has_signed(&SignedToken::parse(&elsewhere).unwrap(), algorithm), "{algorithm:?} of another key");
        let (head, tail) = token.split_at(token.find('.').unwrap() + 5);
        let other = format!("{head}{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
        assert!(SignedToken::parse(&other).map_or(true, |other| !set.has_signed(&other, algorithm)), "{algorithm:?}");
    }
}

#[test]
fn keys_for_encryption_sign_nothing() {
    let keys = Keys::new();
    let mut jwks = keys.jwks();
    jwks["keys"].as_array_mut().unwrap().iter_mut().for_each(|key| key["use"] = json!("enc"));
    let set = KeySet::parse(jwks.to_string().as_bytes()).unwrap();
    let token = keys.token(&json!({"alg": "ES256"}), Es256);
    assert!(!set.has_signed(&SignedToken::parse(&token).unwrap(), Es256));
    assert_eq!(KeySet::parse(b"{}").unwrap_err(), JwsError::KeySet);
    assert_eq!(KeySet::parse(b"<html>").unwrap_err(), JwsError::KeySet);
}

#[test]
fn what_is_no_token() {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let (header, claims) = (encode("{\"alg\":\"none\"}"), encode("{\"iss\":\"a\",\"iss\":\"b\"}"));
    let unsigned = format!("{header}.{claims}.");
    let parsed = SignedToken::parse(&unsigned).unwrap();
    assert_eq!(SignatureAlgorithm::parse(parsed.algorithm()), None);
    assert_eq!(parsed.unverified_claims()["iss"], "b", "the last one counts for everybody");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for malformed in [
        String::new(),
        "a.b".to_owned(),
        "a.b.c.d".to_owned(),
        "!.!.!".to_owned(),
        ".".repeat(1_000_000),
        format!("{}.{claims}.", encode("{\"alg\":\"ES256\",\"crit\":[\"exp\"]}")),
        format!("{}.{claims}.", encode("{\"alg\":1}")),
        format!("{header}.{}.", encode("[]")),
        format!("{header}.{}.", encode(&deep)),
        format!("{header}.{claims}.{}", "A".repeat(1 << 20)),
        format!("{header}.{claims}=."),
    ] {
        let shown = &malformed[..malformed.len().min(60)];
        assert_eq!(SignedToken::parse(&malformed).err(), Some(JwsError::Malformed), "{shown}");
    }
}
