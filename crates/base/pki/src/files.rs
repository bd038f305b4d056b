//! Reading and writing key material.

use std::io::ErrorKind;
use std::path::Path;

pub(crate) use windlass_tree::Loss;
use windlass_tree::replace;
use zeroize::Zeroizing;

use crate::PkiError;

pub(crate) const PRIVATE: u32 = 0o600;
pub(crate) const PUBLIC: u32 = 0o644;

/// `None` when there is no such file. Contents are wiped from memory when dropped, for most are private.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, PkiError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::File { action: "read", path: path.to_owned(), source }),
    }
}

/// Replaces a file in one step.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32, loss: Loss) -> Result<(), PkiError> {
    replace(path, bytes, mode, loss).map_err(|source| PkiError::File { action: "write", path: path.to_owned(), source })
}

pub(crate) fn make_directory(path: &Path) -> Result<(), PkiError> {
    std::fs::create_dir_all(path).map_err(|source| PkiError::File { action: "make", path: path.to_owned(), source })
}

/// Writes a secret of another kind (a symmetric key) as private keys are written: readable by the owner alone, and on the disk
/// when this returns.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), PkiError> {
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    write(path, bytes, PRIVATE, Loss::Unbearable)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn replaced_with_the_right_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(read(&path).unwrap().is_none());
        std::fs::write(dir.path().join("key.new~"), "from a crash").unwrap();
        for (text, loss) in [("one", Loss::Bearable), ("two", Loss::Unbearable)] {
            write(&path, text.as_bytes(), PRIVATE, loss).unwrap();
            assert_eq!(&read(&path).unwrap().unwrap()[..], text.as_bytes());
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
