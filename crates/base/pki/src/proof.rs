//! Proofs that somebody has a private key, in those forms that ring does not verify: ECDSA on P-521, and RSA-PSS whose salt is as
//! long as it wants to be.

use p521::ecdsa::signature::hazmat::PrehashVerifier;
use ring::digest::{self, SHA256, SHA384, SHA512};
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm,
};
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;

use crate::key::{Algorithm, PublicKey};

/// Verifies an ECDSA signature of P-521, as it stands in certificates. `algorithm` is the object identifier of the signature's
/// algorithm, which says by which hash.
pub(crate) fn verify_p521(point: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let hash = match algorithm {
        // 1.2.840.10045.4.3.2 to .4
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => &SHA256,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => &SHA384,
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => &SHA512,
        _ => return false,
    };
    verify_p521_digest(point, digest::digest(hash, message).as_ref(), signature)
}

fn verify_p521_digest(point: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = p521::ecdsa::VerifyingKey::from_sec1_bytes(point) else { return false };
    let Ok(signature) = p521::ecdsa::Signature::from_der(signature) else { return false };
    key.verify_prehash(digest, &signature).is_ok()
}

/// Verifies a signature over the SHA-256 of a message (Ed25519: over the message): ECDSA in ASN.1, RSA-PSS with whatever salt.
pub(crate) fn verify_possession(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let algorithm: &'static dyn VerificationAlgorithm = match key.algorithm() {
        Algorithm::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
        Algorithm::EcdsaP384 => &ECDSA_P384_SHA256_ASN1,
        Algorithm::Ed25519 => &ED25519,
        Algorithm::EcdsaP521 => {
            return verify_p521_digest(key.raw(), digest::digest(&SHA256, message).as_ref(), signature);
        }
        Algorithm::Rsa => return verify_pss(key.spki(), message, signature),
    };
    UnparsedPublicKey::new(algorithm, key.raw()).verify(message, signature).is_ok()
}

fn verify_pss(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = rsa::PublicKey::from_public_key_der(spki) else { return false };
    let Ok(signature) = rsa::pss::Signature::try_from(signature) else { return false };
    rsa::pss::VerifyingKey::<rsa::sha2::Sha256>::new_with_auto_salt_len(key).verify(message, &signature).is_ok()
}
