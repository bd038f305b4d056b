//! Providers with keys of their own: AES-GCM, AES-CBC, secretbox. Each key has a name, which stands before what it has encrypted.

use std::fmt;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::consts::U12;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::{self, Aead, KeyInit, Payload};
use crypto_secretbox::XSalsa20Poly1305;
use ring::rand::{SecureRandom, SystemRandom};
use windlass_api::text::aggregate;

/// Bytes of a block of AES.
const BLOCK: usize = 16;

/// How the keys of a ring encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    AesGcm,
    AesCbc,
    Secretbox,
}

impl Algorithm {
    /// What stands before everything that is encrypted in this way.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::AesGcm => "k8s:enc:aesgcm:v1:",
            Self::AesCbc => "k8s:enc:aescbc:v1:",
            Self::Secretbox => "k8s:enc:secretbox:v1:",
        }
    }

    /// The lengths that keys may have, in bytes.
    pub(crate) fn key_lengths(self) -> &'static [usize] {
        match self {
            Self::AesGcm | Self::AesCbc => &[16, 24, 32],
            Self::Secretbox => &[32],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::AesGcm | Self::AesCbc => "AES",
            Self::Secretbox => "Secretbox",
        }
    }
}

/// The keys of a provider; the first one writes.
pub(crate) struct KeyRing {
    algorithm: Algorithm,
    keys: Vec<(String, Cipher)>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.algorithm)?;
        f.debug_list().entries(self.keys.iter().map(|(name, _)| name)).finish()
    }
}

impl KeyRing {
    /// Of keys with right lengths.
    pub(crate) fn new(algorithm: Algorithm, keys: impl Iterator<Item = (String, Vec<u8>)>) -> Option<Self> {
        let keys = keys.map(|(name, key)| Some((name + ":", Cipher::new(algorithm, &key)?)));
        Some(Self { algorithm, keys: keys.collect::<Option<_>>()? })
    }

    pub(crate) fn prefix(&self) -> &'static str {
        self.algorithm.prefix()
    }

    /// The encrypted value with the provider's and the key's name before it.
    pub(crate) fn seal(&self, associated: &[u8], value: &[u8]) -> Result<Vec<u8>, String> {
        let (name, cipher) = self.keys.first().ok_or("the provider has no key")?;
        let sealed = cipher.seal(associated, value).ok_or("the value cannot be encrypted")?;
        Ok([self.prefix().as_bytes(), name.as_bytes(), &sealed].concat())
    }

    /// Opens what stands behind the provider's name.
    pub(crate) fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        let mut failed = Vec::new();
        for (name, cipher) in &self.keys {
            let Some(sealed) = sealed.strip_prefix(name.as_bytes()) else { continue };
            match cipher.open(associated, sealed) {
                Some(value) => return Ok(value),
                None => failed.push(format!("the key {} does not open it", name.trim_end_matches(':'))),
            }
        }
        Err(match failed.is_empty() {
            true => format!("no matching key was found for the provided {} transformer", self.algorithm.name()),
            false => aggregate(failed),
        })
    }
}

/// One key, made for its algorithm.
enum Cipher {
    Gcm128(Box<AesGcm<Aes128, U12>>),
    Gcm192(Box<AesGcm<Aes192, U12>>),
    Gcm256(Box<AesGcm<Aes256, U12>>),
    Cbc128(Vec<u8>),
    Cbc192(Vec<u8>),
    Cbc256(Vec<u8>),
    Secretbox(XSalsa20Poly1305),
}

impl Cipher {
    /// `None` when the key has a wrong length.
    fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        Some(match (algorithm, key.len()) {
            (Algorithm::AesGcm, 16) => Self::Gcm128(Box::new(AesGcm::new_from_slice(key).ok()?)),
            (Algorithm::AesGcm, 24) => Self::Gcm192(Box::new(AesGcm::new_from_slice(key).ok()?)),
            (Algorithm::AesGcm, 32) => Self::Gcm256(Box::new(AesGcm::new_from_slice(key).ok()?)),
            (Algorithm::AesCbc, 16) => Self::Cbc128(key.to_vec()),
            (Algorithm::AesCbc, 24) => Self::Cbc192(key.to_vec()),
            (Algorithm::AesCbc, 32) => Self::Cbc256(key.to_vec()),
            (Algorithm::Secretbox, 32) => Self::Secretbox(XSalsa20Poly1305::new_from_slice(key).ok()?),
            _ => return None,
        })
    }

    /// The nonce and what is encrypted. Only GCM binds it to `associated`, as upstream.
    fn seal(&self, associated: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gcm128(cipher) => seal(&**cipher, associated, value),
            Self::Gcm192(cipher) => seal(&**cipher, associated, value),
            Self::Gcm256(cipher) => seal(&**cipher, associated, value),
            Self::Cbc128(key) => seal_cbc::<cbc::Encryptor<Aes128>>(key, value),
            Self::Cbc192(key) => seal_cbc::<cbc::Encryptor<Aes192>>(key, value),
            Self::Cbc256(key) => seal_cbc::<cbc::Encryptor<Aes256>>(key, value),
            Self::Secretbox(cipher) => seal(cipher, &[], value),
        }
    }

    fn open(&self, associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Gcm128(cipher) => open(&**cipher, associated, sealed),
            Self::Gcm192(cipher) => open(&**cipher, associated, sealed),
            Self::Gcm256(cipher) => open(&**cipher, associated, sealed),
            Self::Cbc128(key) => open_cbc::<cbc::Decryptor<Aes128>>(key, sealed),
            Self::Cbc192(key) => open_cbc::<cbc::Decryptor<Aes192>>(key, sealed),
            Self::Cbc256(key) => open_cbc::<cbc::Decryptor<Aes256>>(key, sealed),
            Self::Secretbox(cipher) => open(cipher, &[], sealed),
        }
    }
}

/// Opens what AES-GCM has encrypted with a key of any length.
pub(crate) fn open_gcm(key: &[u8], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    Cipher::new(Algorithm::AesGcm, key)?.open(associated, sealed)
}

fn seal<A: Aead>(cipher: &A, aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = aead::Nonce::<A>::default();
    SystemRandom::new().fill(&mut nonce).ok()?;
    Some([&nonce[..], &cipher.encrypt(&nonce, Payload { msg, aad }).ok()?].concat())
}

fn open<A: Aead>(cipher: &A, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, msg) = sealed.split_at_checked(aead::Nonce::<A>::default().len())?;
    cipher.decrypt(aead::Nonce::<A>::from_slice(nonce), Payload { msg, aad }).ok()
}

fn seal_cbc<E: KeyIvInit + BlockEncryptMut>(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut iv = [0; BLOCK];
    SystemRandom::new().fill(&mut iv).ok()?;
    let sealed = E::new_from_slices(key, &iv).ok()?.encrypt_padded_vec_mut::<Pkcs7>(value);
    Some([&iv[..], &sealed].concat())
}

fn open_cbc<D: KeyIvInit + BlockDecryptMut>(key: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (iv, text) = sealed.split_at_checked(BLOCK)?;
    D::new_from_slices(key, iv).ok()?.decrypt_padded_vec_mut::<Pkcs7>(text).ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn ring(algorithm: Algorithm, keys: &[(&str, usize)]) -> KeyRing {
        let keys =
            keys.iter().map(|(name, length)| ((*name).to_owned(), name.repeat(32).as_bytes()[..*length].to_vec()));
        KeyRing::new(algorithm, keys).unwrap()
    }

    #[test]
    fn each_key_opens_what_it_has_written() {
        for algorithm in [Algorithm::AesGcm, Algorithm::AesCbc, Algorithm::Secretbox] {
            for &length in algorithm.key_lengths() {
                let old = ring(algorithm, &[("a", length)]);
                let sealed = old.seal(b"secrets", b"password").unwrap();
                assert!(!sealed.windows(8).any(|window| window == b"password"));
                assert_ne!(sealed, old.seal(b"secrets", b"password").unwrap(), "{algorithm:?} uses a nonce twice");
                let behind = sealed.strip_prefix(algorithm.prefix().as_bytes()).unwrap();
                assert!(behind.starts_with(b"a:"));
                let both = ring(algorithm, &[("b", length), ("a", length)]);
                assert_eq!(both.open(b"secrets", behind).unwrap(), b"password");
                assert!(
                    both.seal(b"", b"x")
                        .unwrap()
                        .strip_prefix(algorithm.prefix().as_bytes())
                        .unwrap()
                        .starts_with(b"b:")
                );
                let error = ring(algorithm, &[("b", length)]).open(b"secrets", behind).unwrap_err();
                assert!(error.starts_with("no matching key was found for the provided "), "{error}");
                for cut in 0..behind.len() {
                    assert!(old.open(b"secrets", &behind[..cut]).is_err() || algorithm == Algorithm::AesCbc, "{cut}");
                }
                assert_eq!(old.open(b"other", behind).is_err(), algorithm == Algorithm::AesGcm);
            }
            assert!(KeyRing::new(algorithm, [("a".to_owned(), vec![0; 31])].into_iter()).is_none());
        }
    }

    /// Values that Go's libraries have encrypted, with the key `0123456789abcdef` (secretbox: twice).
    #[test]
    fn the_forms_are_upstreams() {
        for (algorithm, key, sealed) in [
            (
                Algorithm::AesGcm,
                "0123456789abcdef",
                "98NNEGZ4lpfz3MpyP5wqgu7hdEIimAXkaAfeItZasg1zW3J0F5UkFFiEbeybILxV1Q==",
            ),
            (Algorithm::AesCbc, "0123456789abcdef", "wMwPfC/OyQS+bfyInTDZeruB6rENv/rw3qY78+u8iQD0oGfNV45wNNPHLXWDvgZV"),
            (
                Algorithm::Secretbox,
                "0123456789abcdef0123456789abcdef",
                "6RUzvfydDAWgL69fWm0u0iHEWkdwC6bGw7IQ8v3h4vYvsJJj8OmVePlKMrB6qVSR8jtSUVfVgBiIKNz0bQ==",
            ),
        ] {
            let ring = KeyRing::new(algorithm, [("k".to_owned(), key.as_bytes().to_vec())].into_iter()).unwrap();
            let sealed = [b"k:".to_vec(), STANDARD.decode(sealed).unwrap()].concat();
            assert_eq!(ring.open(b"secrets/default/one", &sealed).unwrap(), b"as upstream writes it", "{algorithm:?}");
        }
    }
}
