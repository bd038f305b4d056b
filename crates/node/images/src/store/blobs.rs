//! Small contents by digest: manifests, indexes, configurations.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use windlass_tree::{Loss, replace};

use crate::digest::Digest;

pub(crate) struct Blobs {
    root: PathBuf,
}

const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

impl Blobs {
    pub(crate) fn open(root: PathBuf) -> io::Result<Self> {
        for algorithm in ALGORITHMS {
            std::fs::create_dir_all(root.join(algorithm))?;
        }
        Ok(Self { root })
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.as_str().replacen(':', "/", 1))
    }

    /// `bytes` have been verified.
    pub(crate) fn write(&self, digest: &Digest, bytes: &[u8]) -> io::Result<()> {
        replace(&self.path(digest), bytes, 0o644, Loss::Bearable)
    }

    /// Removes everything else.
    pub(crate) fn retain(&self, keep: &HashSet<Digest>) -> io::Result<()> {
        for algorithm in ALGORITHMS {
            for entry in std::fs::read_dir(self.root.join(algorithm))? {
                let entry = entry?;
                let digest =
                    entry.file_name().into_string().ok().and_then(|hex| format!("{algorithm}:{hex}").parse().ok());
                if digest.is_none_or(|digest: Digest| !keep.contains(&digest)) {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_read_and_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path().to_owned()).unwrap();
        let digest = Digest::of(b"x");
        blobs.write(&digest, b"x").unwrap();
        blobs.retain(&[digest.clone()].into()).unwrap();
        assert_eq!(std::fs::read(blobs.path(&digest)).unwrap(), b"x");
        blobs.retain(&HashSet::new()).unwrap();
        assert!(!blobs.path(&digest).exists());
    }
}
