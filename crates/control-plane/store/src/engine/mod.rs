//! The durable side of the store: a log of records, bounded by snapshots.
//!
//! Everything is in memory anyway, so the disk needs no index: it needs to take many small records with one sync, and to give
//! them all back at start-up. A log does the first better than a general engine, keeps no second copy of the objects in
//! memory, and can tell a torn tail (a crash during the last write, harmless) from damage (acknowledged writes are missing:
//! the store refuses to open).
//!
//! On the disk:
//! - `log-R`: [`frame`]s, each one batch of the committer; R is the revision before the first, in hexadecimal. Space is filled
//!   with zeros ahead of the writes, so that a sync need not update the file's metadata.
//! - `snapshot-R`: every object as of revision R. When it is complete, logs that end before R are deleted.
//! - `lock`: held while a process has the store open.

mod cipher;
mod frame;
mod log;
mod recovery;
mod snapshot;

use std::path::PathBuf;
use std::sync::Arc;

pub use cipher::SecretKey;
pub(crate) use frame::Record;
use log::LogEngine;

use crate::store::{Loaded, Options, Tables};

/// What the committer asks of the disk.
pub(crate) trait Engine: Send {
    /// Makes records durable, all or none. After an error nothing has been written as far as anyone will ever see.
    fn append(&mut self, records: &[Record]) -> Result<(), EngineError>;
    /// Called after the records have been published: the time for housekeeping.
    fn after_append(&mut self, tables: &Tables);
}

/// The engine of a store that is gone with its process.
pub(crate) struct Memory;

impl Engine for Memory {
    fn append(&mut self, _records: &[Record]) -> Result<(), EngineError> {
        Ok(())
    }

    fn after_append(&mut self, _tables: &Tables) {}
}

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("no space left in {directory}")]
    DiskFull { directory: String },
    #[error("{reason}")]
    Broken { reason: String },
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{} is in use by another process; stop it, or choose another data directory", directory.display())]
    InUse { directory: PathBuf },
    #[error("cannot {what} {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    /// Acknowledged writes are missing or damaged.
    #[error(
        "{} is damaged at byte {offset}: {problem}; restore the folder from a snapshot or, to go on with what comes \
         before, cut the file there", path.display()
    )]
    Damaged { path: PathBuf, offset: u64, problem: &'static str },
    #[error("{} was written by another version of this program", path.display())]
    Version { path: PathBuf },
    #[error("{} holds encrypted objects, and the key does not open them", path.display())]
    Key { path: PathBuf },
    #[error("the committer's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

/// Opens the folder and reads what is in it.
pub(crate) fn open(options: &Options) -> Result<(Box<dyn Engine>, Loaded), OpenError> {
    let cipher = cipher::Cipher::new(options.key.as_ref(), &options.secret_tables);
    let (engine, loaded) = LogEngine::open(&options.directory, Arc::new(cipher))?;
    Ok((Box::new(engine), loaded))
}
