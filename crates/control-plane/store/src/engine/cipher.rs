//! Encryption of secret tables on the disk: AES-256-GCM, a random nonce for each value, the object's key as associated data
//! so that values cannot be exchanged.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// The key for secrets at rest.
#[derive(Clone)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

pub(crate) struct Cipher {
    key: Option<LessSafeKey>,
    tables: Vec<String>,
    random: SystemRandom,
}

impl Cipher {
    pub(crate) fn new(key: Option<&SecretKey>, tables: &[String]) -> Self {
        let key = key.map(|key| {
            let key = UnboundKey::new(&AES_256_GCM, &key.0).expect("the key has the length that AES-256 wants");
            LessSafeKey::new(key)
        });
        Self { key, tables: tables.to_vec(), random: SystemRandom::new() }
    }

    /// The encrypted form of a value of a secret table; `None` when the value is written as it is.
    pub(super) fn seal(&self, table: &str, key: &str, value: &[u8]) -> Option<Vec<u8>> {
        let cipher = self.key.as_ref().filter(|_| self.tables.iter().any(|t| t == table))?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).expect("the kernel's random numbers are there once it has booted");
        let mut sealed = nonce.to_vec();
        let mut text = value.to_vec();
        cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad(table, key), &mut text)
            .expect("a value is shorter than AES-GCM's limit of 64 GB");
        sealed.append(&mut text);
        Some(sealed)
    }

    /// `None` when the key is missing or wrong.
    pub(super) fn open(&self, table: &str, key: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key.as_ref()?.open_in_place(nonce, aad(table, key), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

fn aad(table: &str, key: &str) -> Aad<Vec<u8>> {
    Aad::from([table.as_bytes(), b"\0", key.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_opens() {
        let cipher = Cipher::new(Some(&SecretKey::new([1; 32])), &["secrets".to_owned()]);
        let sealed = cipher.seal("secrets", "ns/a", b"password").unwrap();
        assert!(!sealed.windows(8).any(|window| window == b"password"));
        assert_eq!(cipher.open("secrets", "ns/a", &sealed).unwrap(), b"password");
        assert_eq!(cipher.open("secrets", "ns/b", &sealed), None);
        assert_eq!(cipher.seal("pods", "ns/a", b"x"), None);
        let other = Cipher::new(Some(&SecretKey::new([2; 32])), &[]);
        assert_eq!(other.open("secrets", "ns/a", &sealed), None);
        assert_eq!(Cipher::new(None, &[]).open("secrets", "ns/a", &sealed), None);
        assert_eq!(cipher.open("secrets", "ns/a", b"short"), None);
    }
}
