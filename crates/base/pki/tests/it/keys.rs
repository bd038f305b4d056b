//! Keys in the encodings that tools write.

use windlass_pki::{Algorithm, PrivateKey, PublicKey, TokenSigner, TokenVerifier};

const KEYS: [(&str, &str, Algorithm, &str); 4] = [
    ("rsa-pkcs1", include_str!("data/rsa-pkcs1.pem"), Algorithm::Rsa, "R2VgkOwu6wCh2HplXZmpbOGS4cvVeb1YO0NXOtdrag8"),
    ("rsa-pkcs8", include_str!("data/rsa-pkcs8.pem"), Algorithm::Rsa, "R2VgkOwu6wCh2HplXZmpbOGS4cvVeb1YO0NXOtdrag8"),
    ("ec-sec1", include_str!("data/ec-sec1.pem"), Algorithm::EcdsaP256, "r_TYOr3VdQDKEAIgttxU5MTJVma6tH5_MHYmcvh23Sg"),
    (
        "ec384-sec1",
        include_str!("data/ec384-sec1.pem"),
        Algorithm::EcdsaP384,
        "7Wfk_gjYGwoG-wkdazffK6KSvYKgVWzfsPPdqFjQEns",
    ),
];

#[test]
fn every_encoding_and_the_key_id_that_openssl_computes() {
    for (name, pem, algorithm, id) in KEYS {
        let key = PrivateKey::from_pem(pem.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.public().algorithm(), algorithm, "{name}");
        let signer = TokenSigner::new(key);
        let token = signer.sign(&serde_json::json!({"sub": "x"})).unwrap();
        let verifier = TokenVerifier::new([signer.public_key().clone()]);
        assert_eq!(verifier.verify(&token).unwrap().key_id, id, "{name}");
    }
}

#[test]
fn written_and_read_again() {
    for (name, pem, _, _) in KEYS {
        let key = PrivateKey::from_pem(pem.as_bytes()).unwrap();
        let again = PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap();
        assert_eq!(key.public(), again.public(), "{name}");
        let public = PublicKey::all_from_pem(key.public().to_pem().as_bytes()).unwrap();
        assert_eq!(public, [key.public().clone()], "{name}");
        assert_eq!(PublicKey::all_from_pem(pem.as_bytes()).unwrap(), public, "{name}: out of the private key");
    }
    let certificate = include_str!("data/rsa-ca.crt");
    let rsa = PrivateKey::from_pem(KEYS[0].1.as_bytes()).unwrap();
    assert_eq!(PublicKey::all_from_pem(certificate.as_bytes()).unwrap(), [rsa.public().clone()]);
}

#[test]
fn nothing_private_is_shown() {
    let key = PrivateKey::generate().unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey { algorithm: EcdsaP256, .. }");
}

#[test]
fn what_is_no_key() {
    for text in
        ["", "junk", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", include_str!("data/rsa-ca.crt")]
    {
        assert!(PrivateKey::from_pem(text.as_bytes()).is_err());
    }
    assert!(PublicKey::all_from_pem(b"").is_err());
    assert!(PublicKey::from_spki(&[]).is_err());
    let mut spki = PrivateKey::generate().unwrap().public().spki().to_vec();
    spki.push(0);
    assert!(PublicKey::from_spki(&spki).is_err());
}
