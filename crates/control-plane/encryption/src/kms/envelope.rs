//! Values that are encrypted with a key of their own, which is made from a seed; the seed stands beside them, encrypted by the service.
//!
//! Source: upstream apiserver `pkg/storage/value/encrypt/envelope/kmsv2`, `encrypt/aes/aes_extended_nonce.go`.

use std::collections::BTreeMap;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk};
use ring::rand::{SecureRandom, SystemRandom};
use windlass_api::names;
use windlass_api::text::aggregate;
use zeroize::Zeroizing;

use super::messages::EncryptedObject;
use crate::key_ring;

/// The source is the key itself.
const AES_GCM_KEY: i32 = 0;
/// The source is a seed; the first bytes of what is encrypted tell the key.
pub(super) const HKDF_SEED: i32 = 1;

const KEY_ID_BYTES_MAX: usize = 1024;
const SOURCE_BYTES_MAX: usize = 1024;
const ANNOTATION_BYTES_MAX: usize = 32 << 10;

/// Bytes of a seed, and of what tells the key of one value.
const SEED: usize = 32;
const INFO: usize = 32;

/// What data encryption keys are made of.
pub(super) struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    pub(super) fn generate() -> Result<Self, String> {
        let mut bytes = Zeroizing::new(vec![0; SEED]);
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn of(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn derive(&self, info: &[u8]) -> Result<LessSafeKey, String> {
        if self.0.len() < SEED {
            return Err(format!("invalid seed length {} used for key generation", self.0.len()));
        }
        let derived = Prk::new_less_safe(HKDF_SHA256, &self.0);
        let info = [info];
        let key = derived.expand(&info, &AES_256_GCM).map_err(|_| "no key can be made from the seed")?;
        Ok(LessSafeKey::new(UnboundKey::from(key)))
    }

    /// What tells the key, a nonce, and the encrypted value.
    pub(super) fn seal(&self, associated: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let mut sealed = vec![0; INFO + NONCE_LEN];
        random(&mut sealed)?;
        let (info, nonce) = sealed.split_at(INFO);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| "the nonce has a wrong length")?;
        let mut text = value.to_vec();
        let key = self.derive(info)?;
        key.seal_in_place_append_tag(nonce, Aad::from(associated), &mut text)
            .map_err(|_| "the value is too long to be encrypted")?;
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// Opens what is encrypted with a key of this source.
    pub(super) fn open(&self, source_type: i32, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        const FAILED: &str = "cipher: message authentication failed";
        if source_type == AES_GCM_KEY {
            return key_ring::open_gcm(&self.0, associated, sealed).ok_or_else(|| FAILED.to_owned());
        }
        let parts = sealed.split_at_checked(INFO).and_then(|(info, rest)| {
            let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
            Some((info, Nonce::assume_unique_for_key(*nonce), text.to_vec()))
        });
        let (info, nonce, mut text) = parts.ok_or("the stored data was shorter than the required size")?;
        let length =
            self.derive(info)?.open_in_place(nonce, Aad::from(associated), &mut text).map_err(|_| FAILED)?.len();
        text.truncate(length);
        Ok(text)
    }
}

fn random(bytes: &mut [u8]) -> Result<(), String> {
    SystemRandom::new().fill(bytes).map_err(|_| "the kernel gives no random numbers".to_owned())
}

/// Checks what a service, or the disk, says.
pub(super) fn validate(object: &EncryptedObject) -> Result<(), String> {
    let kind = object.encrypted_dek_source_type;
    if ![AES_GCM_KEY, HKDF_SEED].contains(&kind) {
        return Err(format!("unknown encryptedDEKSourceType: {kind}"));
    }
    if object.encrypted_data.is_empty() {
        return Err("encrypted data is empty".to_owned());
    }
    validate_source(&object.encrypted_dek_source)
        .map_err(|why| format!("failed to validate encrypted DEK source: {why}"))?;
    validate_key_id(&object.key_id).map_err(|problem| format!("failed to validate key id: {problem}"))?;
    validate_annotations(&object.annotations).map_err(|why| format!("failed to validate annotations: {why}"))
}

fn validate_source(source: &[u8]) -> Result<(), String> {
    match source.len() {
        0 => Err("encrypted DEK source is empty".to_owned()),
        length if length > SOURCE_BYTES_MAX => {
            Err(format!("encrypted DEK source is {length} bytes, which exceeds the max size of {SOURCE_BYTES_MAX}"))
        }
        _ => Ok(()),
    }
}

/// What is wrong with the ID of a service's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyIdError {
    #[error("keyID is empty")]
    Empty,
    #[error("keyID is {0} bytes, which exceeds the max size of {KEY_ID_BYTES_MAX}")]
    TooLong(usize),
}

impl KeyIdError {
    /// As metrics have it.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong(_) => "too_long",
        }
    }
}

pub(super) fn validate_key_id(key_id: &str) -> Result<(), KeyIdError> {
    match key_id.len() {
        0 => Err(KeyIdError::Empty),
        length if length > KEY_ID_BYTES_MAX => Err(KeyIdError::TooLong(length)),
        _ => Ok(()),
    }
}

fn validate_annotations(annotations: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let mut problems: Vec<String> = annotations.keys().filter_map(|key| problem_of_domain(key)).collect();
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > ANNOTATION_BYTES_MAX {
        problems.push(format!(
            "total size of annotations is {bytes}, which exceeds the max size of {ANNOTATION_BYTES_MAX}"
        ));
    }
    if problems.is_empty() { Ok(()) } else { Err(aggregate(problems)) }
}

fn problem_of_domain(name: &str) -> Option<String> {
    let invalid = |value: &str, why: &str| Some(format!("annotations: Invalid value: {value:?}: {why}"));
    if name.is_empty() {
        return Some("annotations: Required value".to_owned());
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let problems = names::dns1123_subdomain(name);
    if !problems.is_empty() {
        return invalid(name, &problems.join(","));
    }
    if !name.contains('.') {
        return invalid(name, "should be a domain with at least two segments separated by dots");
    }
    name.split('.').find_map(|label| {
        let problems = names::dns1123_label(label);
        if problems.is_empty() { None } else { invalid(label, &problems.join(",")) }
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn values_have_keys_of_their_own() {
        let seed = Seed::generate().unwrap();
        let (one, two) = (seed.seal(b"a", b"password").unwrap(), seed.seal(b"a", b"password").unwrap());
        assert_ne!(one[..INFO], two[..INFO]);
        assert_eq!(seed.open(HKDF_SEED, b"a", &one).unwrap(), b"password");
        assert!(seed.open(HKDF_SEED, b"b", &one).is_err(), "values can be exchanged");
        assert!(Seed::generate().unwrap().open(HKDF_SEED, b"a", &one).is_err());
        for cut in 0..one.len() {
            assert!(seed.open(HKDF_SEED, b"a", &one[..cut]).is_err());
        }
        assert!(Seed::of(vec![1; 31]).seal(b"a", b"x").is_err());
    }

    /// What upstream's code has written with the seed `0123456789abcdef` twice.
    #[test]
    fn the_form_is_upstreams() {
        let sealed = "NlE2rvHfixt2zb7OlEf/gMKoc/yK9V4gCaltRtjywwzwUL01FtNMFZI0j5HC04RAa3MSm1w5/Wnczjvcc1375n1fCvTRkJwFi+VcjrpTzQ09";
        let seed = Seed::of(b"0123456789abcdef0123456789abcdef".to_vec());
        let opened = seed.open(HKDF_SEED, b"secrets/default/one", &STANDARD.decode(sealed).unwrap());
        assert_eq!(opened.unwrap(), b"as upstream writes it");
    }

    #[test]
    fn what_a_service_says_is_checked() {
        let right = EncryptedObject {
            encrypted_data: vec![0],
            key_id: "1".to_owned(),
            encrypted_dek_source: vec![1],
            annotations: BTreeMap::from([("version.encryption.remote.io".to_owned(), b"1".to_vec())]),
            encrypted_dek_source_type: HKDF_SEED,
        };
        assert_eq!(validate(&right), Ok(()));
        let wrong = |change: &dyn Fn(&mut EncryptedObject)| {
            let mut object = right.clone();
            change(&mut object);
            validate(&object).unwrap_err()
        };
        assert_eq!(wrong(&|o| o.encrypted_dek_source_type = 2), "unknown encryptedDEKSourceType: 2");
        assert_eq!(wrong(&|o| o.encrypted_data.clear()), "encrypted data is empty");
        assert_eq!(
            wrong(&|o| o.encrypted_dek_source = vec![0; 1025]),
            "failed to validate encrypted DEK source: encrypted DEK source is 1025 bytes, which exceeds the max size of 1024"
        );
        assert_eq!(wrong(&|o| o.key_id.clear()), "failed to validate key id: keyID is empty");
        assert_eq!(
            wrong(&|o| o.annotations = BTreeMap::from([("short".to_owned(), Vec::new())])),
            "failed to validate annotations: annotations: Invalid value: \"short\": \
             should be a domain with at least two segments separated by dots"
        );
        let large = |o: &mut EncryptedObject| o.annotations = BTreeMap::from([("a.b".to_owned(), vec![0; 32 << 10])]);
        assert!(wrong(&large).ends_with("total size of annotations is 32771, which exceeds the max size of 32768"));
    }
}
