//! The cluster's own key on the disk: 32 bytes in `DIRECTORY/encryption.key`. While everything is written with a new one, the old one is in
//! `encryption-previous.key`.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use windlass_pki::{PkiError, write_private};
use zeroize::Zeroizing;

use crate::own_keys::OwnKeys;

const KEY_BYTES: usize = 32;

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} has {length} bytes instead of 32: restore it, for without it the cluster's Secrets cannot be read", path.display())]
    Length { path: PathBuf, length: usize },
    #[error(transparent)]
    Write(#[from] PkiError),
    #[error("the kernel gives no random numbers")]
    Random,
}

/// The files of the cluster's own keys.
#[derive(Clone, Debug)]
pub struct KeyFiles {
    newest: PathBuf,
    previous: PathBuf,
}

impl KeyFiles {
    pub fn of(directory: &Path) -> Self {
        Self { newest: directory.join("encryption.key"), previous: directory.join("encryption-previous.key") }
    }

    /// The keys that there are; the first one is made when it is missing.
    pub fn load_or_create(&self) -> Result<OwnKeys, KeyFileError> {
        let newest = match read(&self.newest)? {
            Some(key) => key,
            None => self.make()?,
        };
        let previous = read(&self.previous)?;
        Ok(OwnKeys::new([&newest].into_iter().chain(&previous).map(|key| &**key)))
    }

    /// Whether there may be values that only the previous key opens.
    pub(crate) fn has_previous(&self) -> Result<bool, KeyFileError> {
        Ok(read(&self.previous)?.is_some())
    }

    /// Keeps the key as the previous one and makes a new one.
    pub(crate) fn begin(&self) -> Result<(), KeyFileError> {
        if let Some(key) = read(&self.newest)? {
            write_private(&self.previous, &*key)?;
        }
        self.make().map(drop)
    }

    /// Forgets the previous key.
    pub(crate) fn finish(&self) -> Result<(), KeyFileError> {
        match fs::remove_file(&self.previous) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(KeyFileError::Io { path: self.previous.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn make(&self) -> Result<Key, KeyFileError> {
        let mut key = Key::default();
        SystemRandom::new().fill(&mut *key).map_err(|_| KeyFileError::Random)?;
        write_private(&self.newest, &*key)?;
        Ok(key)
    }
}

fn read(path: &Path) -> Result<Option<Key>, KeyFileError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(KeyFileError::Io { path: path.to_owned(), source }),
    };
    let key = bytes.as_slice().try_into();
    let wrong = |_| KeyFileError::Length { path: path.to_owned(), length: bytes.len() };
    key.map(|key| Some(Zeroizing::new(key))).map_err(wrong)
}
