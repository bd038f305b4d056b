//! Service-account tokens and the documents about their keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};
use windlass_pki::{PrivateKey, TokenError, TokenSigner, TokenVerifier, discovery_document, jwks};

const RSA: &str = include_str!("data/rsa-pkcs1.pem");
const EC: &str = include_str!("data/ec-sec1.pem");

fn signer(pem: &str) -> TokenSigner {
    TokenSigner::new(PrivateKey::from_pem(pem.as_bytes()).unwrap())
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn signed_and_verified() {
    let (old, new) = (signer(RSA), signer(EC));
    let verifier = TokenVerifier::new([new.public_key().clone(), old.public_key().clone(), new.public_key().clone()]);
    assert_eq!(verifier.keys().len(), 2);
    let claims = json!({"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:a:b", "exp": 1});
    for signer in [&old, &new] {
        let token = signer.sign(&claims).unwrap();
        assert_eq!(verifier.verify(&token).unwrap().claims, claims);
        assert_eq!(TokenVerifier::unverified_claims(&token), Some(claims.clone()));
    }
    let header = new.sign(&claims).unwrap();
    let header = URL_SAFE_NO_PAD.decode(header.split('.').next().unwrap()).unwrap();
    assert_eq!(
        String::from_utf8(header).unwrap(),
        r#"{"alg":"ES256","kid":"r_TYOr3VdQDKEAIgttxU5MTJVma6tH5_MHYmcvh23Sg"}"#
    );
}

#[test]
fn forgeries() {
    let ours = signer(EC);
    let verifier = TokenVerifier::new([ours.public_key().clone()]);
    let claims = json!({"sub": "x"});
    let token = ours.sign(&claims).unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let header = |text: Value| format!("{}.{}.{}", encode(&text), parts[1], parts[2]);
    let kid = "r_TYOr3VdQDKEAIgttxU5MTJVma6tH5_MHYmcvh23Sg";
    let cases = [
        (format!("{}.{}.{}", parts[0], encode(&json!({"sub": "y"})), parts[2]), TokenError::Signature),
        (format!("{}.{}.", parts[0], parts[1]), TokenError::Signature),
        (header(json!({"alg": "none", "kid": kid})), TokenError::Signature),
        (header(json!({"alg": "HS256", "kid": kid})), TokenError::Signature),
        (header(json!({"alg": "RS256", "kid": kid})), TokenError::Signature),
        (header(json!({"alg": "ES256", "kid": "other"})), TokenError::UnknownKey),
        (header(json!({"alg": "ES256", "kid": kid, "crit": ["b64"]})), TokenError::Malformed),
        (signer(RSA).sign(&claims).unwrap(), TokenError::UnknownKey),
        (format!("{token}.x"), TokenError::Malformed),
        (format!("{token}="), TokenError::Malformed),
        ("opaque-token".into(), TokenError::Malformed),
        (String::new(), TokenError::Malformed),
        ("a".repeat(300 << 10), TokenError::Malformed),
    ];
    for (token, error) in cases {
        assert_eq!(verifier.verify(&token), Err(error), "{token:.80}");
    }
    // Without a key ID every key is tried.
    let other = signer(RSA);
    let unnamed = format!("{}.{}", encode(&json!({"alg": "ES256"})), parts[1]);
    let both = TokenVerifier::new([other.public_key().clone(), ours.public_key().clone()]);
    assert_eq!(both.verify(&format!("{unnamed}.{}", parts[2])), Err(TokenError::Signature));
    assert_eq!(TokenVerifier::default().verify(&token), Err(TokenError::UnknownKey));
}

#[test]
fn made_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = TokenSigner::load_or_create(dir.path(), "sa").unwrap();
    let again = TokenSigner::load_or_create(dir.path(), "sa").unwrap();
    assert_eq!(first.public_key(), again.public_key());
    let published = windlass_pki::PublicKey::all_from_pem(&std::fs::read(dir.path().join("sa.pub")).unwrap()).unwrap();
    assert_eq!(published, [first.public_key().clone()]);
    std::fs::write(dir.path().join("sa.key"), RSA).unwrap();
    assert_eq!(TokenSigner::load_or_create(dir.path(), "sa").unwrap().public_key(), signer(RSA).public_key());
    std::fs::write(dir.path().join("sa.key"), "").unwrap();
    assert!(TokenSigner::load_or_create(dir.path(), "sa").is_err(), "a damaged key is never replaced");
}

#[test]
fn documents() {
    let keys = [signer(EC).public_key().clone(), signer(RSA).public_key().clone()];
    let set = String::from_utf8(jwks(&keys)).unwrap();
    assert!(
        set.starts_with(concat!(
            r#"{"keys":[{"use":"sig","kty":"EC","kid":"r_TYOr3VdQDKEAIgttxU5MTJVma6tH5_MHYmcvh23Sg","crv":"P-256","alg":"ES256","#,
            r#""x":"ceQ1TOMwieKUtcV0D4ZK2185mZj2ftrEMPfA9BKmYUE","y":""#
        )),
        "{set}"
    );
    let rsa: Value = serde_json::from_str::<Value>(&set).unwrap()["keys"][1].clone();
    assert_eq!(
        (rsa["kty"].as_str(), rsa["alg"].as_str(), rsa["e"].as_str()),
        (Some("RSA"), Some("RS256"), Some("AQAB"))
    );
    assert_eq!(URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap().len(), 256);
    let document = discovery_document("https://issuer", "https://10.0.0.1:6443/openid/v1/jwks", &keys);
    assert_eq!(
        String::from_utf8(document).unwrap(),
        concat!(
            r#"{"issuer":"https://issuer","jwks_uri":"https://10.0.0.1:6443/openid/v1/jwks","response_types_supported":["id_token"],"#,
            r#""subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","RS256"]}"#
        )
    );
}

proptest! {
    #[test]
    fn only_the_token_itself_verifies(at in 0..400_usize, byte in any::<u8>()) {
        let ours = signer(EC);
        let token = ours.sign(&json!({"sub": "system:serviceaccount:a:b"})).unwrap();
        let mut changed = token.clone().into_bytes();
        let at = at % changed.len();
        changed[at] = byte;
        if let Ok(changed) = String::from_utf8(changed) {
            let verified = TokenVerifier::new([ours.public_key().clone()]).verify(&changed).is_ok();
            prop_assert_eq!(verified, changed == token);
        }
    }
}
