//! Keys of all kinds that pods ask for, and the proofs that somebody has one.

use ring::digest::{SHA256, digest};
use rsa::pkcs8::DecodePrivateKey;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use windlass_pki::{
    Ca, Certificate, CertificateRequest, KeyKind, KeyType, PrivateKey, RequestedKey, SigningPolicy, SubjectKey,
};

use crate::{DAY, now};

fn kind_of(kind: KeyType) -> KeyKind {
    match kind {
        KeyType::Rsa3072 => KeyKind::Rsa { bits: 3072 },
        KeyType::Rsa4096 => KeyKind::Rsa { bits: 4096 },
        KeyType::EcdsaP256 => KeyKind::Ecdsa("P-256"),
        KeyType::EcdsaP384 => KeyKind::Ecdsa("P-384"),
        KeyType::EcdsaP521 => KeyKind::Ecdsa("P-521"),
        KeyType::Ed25519 => KeyKind::Ed25519,
    }
}

#[test]
fn every_kind_is_asked_for_and_certified() {
    let ca = Ca::create("signer", now()).unwrap();
    for kind in KeyType::ALL {
        assert_eq!(KeyType::named(kind.name()), Some(kind));
        let key = PrivateKey::generate_of(kind).unwrap();
        assert!(key.to_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap().public(), key.public(), "{kind:?}");

        let stub = key.stub_request().unwrap();
        let asked = RequestedKey::parse(&stub).unwrap();
        assert_eq!((asked.key().kind(), asked.key().spki()), (kind_of(kind), key.public().spki()));
        assert!(asked.is_signed(), "{kind:?}");
        // The last byte is the signature's.
        let mut forged = stub.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(!RequestedKey::parse(&forged).unwrap().is_signed(), "{kind:?}");

        let request = CertificateRequest::from_der(&stub).unwrap();
        assert_eq!((request.common_name.as_str(), request.organizations.len()), ("", 0));
        let policy = SigningPolicy { ttl: DAY, usages: vec!["client auth".to_owned()] };
        let certificate = ca.sign_request(&request, &policy, now()).unwrap();
        assert_eq!(certificate.public_key(), key.public().spki(), "{kind:?}");
        assert!(Certificate::parse(certificate.der.clone()).unwrap().is_signed_by(ca.certificate()));
    }
    assert_eq!(KeyType::named("DSA"), None);
}

#[test]
fn possession_is_proved_by_the_bare_key() {
    const MESSAGE: &[u8] = b"a pod's uid";
    let proves = |key: &PrivateKey, signature: &[u8]| {
        let subject = SubjectKey::parse(key.public().spki()).unwrap();
        assert!(!subject.has_signed(b"another", signature));
        subject.has_signed(MESSAGE, signature)
    };
    let ed25519 = PrivateKey::generate_of(KeyType::Ed25519).unwrap();
    let pair = ring::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(ed25519.to_der().secret_der()).unwrap();
    assert!(proves(&ed25519, pair.sign(MESSAGE).as_ref()));

    let p521 = PrivateKey::generate_of(KeyType::EcdsaP521).unwrap();
    let signing =
        <p521::ecdsa::SigningKey as p521::pkcs8::DecodePrivateKey>::from_pkcs8_der(p521.to_der().secret_der());
    let signed: p521::ecdsa::Signature = p521::ecdsa::signature::hazmat::PrehashSigner::sign_prehash(
        &signing.unwrap(),
        digest(&SHA256, MESSAGE).as_ref(),
    )
    .unwrap();
    assert!(proves(&p521, signed.to_der().as_bytes()));

    // Go makes the salt as long as it can be.
    let key = PrivateKey::generate_of(KeyType::Rsa3072).unwrap();
    let rsa = rsa::PrivateKey::from_pkcs8_der(key.to_der().secret_der()).unwrap();
    for salt_len in [32, 384 - 32 - 2, 0] {
        let signer = rsa::pss::SigningKey::<rsa::sha2::Sha256>::new_with_salt_len(rsa.clone(), salt_len);
        let signed = signer.try_sign_with_rng(&mut Zeros, MESSAGE).unwrap();
        assert!(proves(&key, &signed.to_vec()), "{salt_len}");
    }
}

/// A salt need not be random to be verified.
struct Zeros;

impl rsa::rand_core::TryRng for Zeros {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(1)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(1)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(1);
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Zeros {}

#[test]
fn keys_of_strangers() {
    assert!(SubjectKey::parse(&[]).is_err());
    assert!(RequestedKey::parse(&[]).is_err());
    let spki = PrivateKey::generate().unwrap().public().spki().to_vec();
    assert!(SubjectKey::parse(&[&spki[..], &[0]].concat()).is_err(), "something follows");
    // The same with a curve's identifier changed to one that nobody has, and to P-224.
    let at = spki.windows(8).position(|window| window == [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]).unwrap();
    let mut unknown = spki;
    unknown[at + 7] = 0x55;
    assert!(SubjectKey::parse(&unknown).is_err());
    // X25519 is parsed, and no key to sign with.
    let other = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00][..], &[7; 32]].concat();
    let key = SubjectKey::parse(&other).unwrap();
    assert_eq!(key.kind(), KeyKind::Other);
    assert!(!key.has_signed(b"m", b"s"));
}
