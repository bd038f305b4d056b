//! What the tests share: images that they build, stores in directories of their own, registries.

pub(crate) mod http;
pub(crate) mod image;
pub(crate) mod mount;
pub(crate) mod registry;
pub(crate) mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use windlass_api::time::Clock;
use windlass_images::{Backoff, ImageStore, Options};

/// A directory that is gone at the end.
pub(crate) struct Directory(PathBuf);

/// For a test that needs root.
pub(crate) fn directory() -> Directory {
    assert!(rustix::process::geteuid().is_root(), "these tests unpack layers: run them as root");
    Directory(tempfile::Builder::new().prefix("windlass-images-").tempdir().unwrap().keep())
}

impl Directory {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A store that was not closed may still be writing its index.
        for _ in 0..100_000 {
            match windlass_tree::remove_path(&self.0) {
                Err(_) => std::thread::yield_now(),
                Ok(()) => return,
            }
        }
    }
}

/// Options for a test: failures are tried again at once.
pub(crate) fn options(dir: &Directory) -> Options {
    Options {
        backoff: Backoff { base: Duration::from_millis(1), max: Duration::from_millis(20), attempts_max: 4 },
        silence_max: Duration::from_secs(20),
        ..Options::new(dir.path().join("images"), Clock::system())
    }
}

pub(crate) async fn store(dir: &Directory) -> ImageStore {
    ImageStore::open(options(dir)).await.expect("the store opens")
}

/// What is in the store's directory for unfinished things.
pub(crate) fn leftovers(dir: &Directory) -> Vec<PathBuf> {
    list(&dir.path().join("images/tmp"))
}

pub(crate) fn list(path: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
