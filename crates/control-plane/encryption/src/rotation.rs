//! Rotation of keys: everything on the disk is written anew, with the keys that write now.

use std::sync::Arc;

use tokio::sync::Mutex;
use windlass_store::{RewriteError, Store};

use crate::at_rest::AtRest;
use crate::key_files::{KeyFileError, KeyFiles};

/// Why keys have not been rotated. Nothing is lost: what could not be written anew has its old key still.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error("the cluster's own key cannot be changed")]
    Key(#[from] KeyFileError),
    #[error(transparent)]
    Store(#[from] RewriteError),
}

/// Rotates the keys of a store.
pub struct Rotation {
    at_rest: Arc<AtRest>,
    files: KeyFiles,
    store: Arc<Store>,
    /// One at a time.
    turn: Mutex<()>,
}

impl Rotation {
    pub fn new(at_rest: Arc<AtRest>, files: KeyFiles, store: Arc<Store>) -> Self {
        Self { at_rest, files, store, turn: Mutex::new(()) }
    }

    /// Makes a new key of the cluster's own and writes everything anew, with it or as the configuration says. When this returns, no older
    /// key is needed.
    ///
    /// A crash in between leaves both keys, and the next rotation first ends what was begun.
    pub async fn rotate(&self) -> Result<(), RotationError> {
        let _turn = self.turn.lock().await;
        if self.files.has_previous()? {
            self.write_anew().await?;
        }
        self.files.begin()?;
        self.write_anew().await
    }

    async fn write_anew(&self) -> Result<(), RotationError> {
        self.at_rest.set_own_keys(self.files.load_or_create()?);
        self.store.rewrite().await?;
        self.files.finish()?;
        self.at_rest.set_own_keys(self.files.load_or_create()?);
        Ok(())
    }
}
