//! The cluster's own keys: AES-256-GCM, a random nonce for each value.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::associated_data;

/// Keys of which the first writes and each reads.
pub struct OwnKeys {
    keys: Vec<LessSafeKey>,
    random: SystemRandom,
}

impl fmt::Debug for OwnKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnKeys({})", self.keys.len())
    }
}

impl OwnKeys {
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a [u8; 32]>) -> Self {
        let key = |bytes: &[u8; 32]| {
            let key = UnboundKey::new(&AES_256_GCM, bytes).expect("the key has the length that AES-256 wants");
            LessSafeKey::new(key)
        };
        Self { keys: keys.into_iter().map(key).collect(), random: SystemRandom::new() }
    }

    /// The nonce and the encrypted value; `None` when there is no key.
    pub(crate) fn seal(&self, table: &str, key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Some(first) = self.keys.first() else { return Ok(None) };
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| "the kernel gives no random numbers")?;
        let mut sealed = nonce.to_vec();
        let mut text = value.to_vec();
        first
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated_data(table, key)),
                &mut text,
            )
            .map_err(|_| "the value is too long to be encrypted")?;
        sealed.append(&mut text);
        Ok(Some(sealed))
    }

    pub(crate) fn open(&self, table: &str, key: &str, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or("what is encrypted is too short")?;
        let opened = self.keys.iter().find_map(|own| {
            let (mut text, nonce) = (text.to_vec(), Nonce::assume_unique_for_key(*nonce));
            let length = own.open_in_place(nonce, Aad::from(associated_data(table, key)), &mut text).ok()?.len();
            text.truncate(length);
            Some(text)
        });
        opened.ok_or_else(|| "the cluster's own key does not open it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_opens() {
        let own = OwnKeys::new([&[1; 32]]);
        let sealed = own.seal("secrets", "ns/a", b"password").unwrap().unwrap();
        assert!(!sealed.windows(8).any(|window| window == b"password"));
        assert_eq!(own.open("secrets", "ns/a", &sealed).unwrap(), b"password");
        assert!(own.open("secrets", "ns/b", &sealed).is_err(), "values can be exchanged");
        assert_eq!(OwnKeys::new([&[2; 32], &[1; 32]]).open("secrets", "ns/a", &sealed).unwrap(), b"password");
        assert!(OwnKeys::new([&[2; 32]]).open("secrets", "ns/a", &sealed).is_err());
        assert!(OwnKeys::new([]).open("secrets", "ns/a", &sealed).is_err());
        assert!(own.open("secrets", "ns/a", b"short").is_err());
    }
}
