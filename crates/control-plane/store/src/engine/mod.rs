//! The durable side of the store: a log of batches, and snapshots that replace old logs.
//!
//! Everything is in memory anyway, so the disk needs no index: it needs to take many small records with one sync, and to give
//! them all back at start-up. A log does the first better than a general engine, keeps no second copy of the objects in
//! memory, and can tell a torn tail (a crash during the last write, harmless) from damage (acknowledged writes are missing:
//! the store refuses to open).
//!
//! On the disk:
//! - `log-R`: [`frame`]s, each one batch of the committer; R is the revision before the first, in hexadecimal. Space is filled
//!   with zeros ahead of the writes, so that a sync need not update the file's metadata.
//! - `snapshot-R`: every object as of revision R. When it is durable, logs and snapshots before R are removed.
//! - `*.tmp`: a log or a snapshot that is being made.
//! - `lock`: held while a process has the store open.
//!
//! # What a start can find
//!
//! Every step is a state that a crash can leave, and a failed call as well; [`disk`] has one method for each call, and the tests stop
//! at and fail every one of them.
//!
//! | step | a crash leaves | a failure leaves | recovery |
//! | --- | --- | --- | --- |
//! | make the folder: mkdir, sync of the one above | no folder, or an empty one | no folder | begins anew, and syncs the folder above again |
//! | make a log: create `log-R.tmp`, zeros, header, sync | the temporary file, of any content | nothing: it is removed, and the log goes on in the old file | removes it |
//! | rename to `log-R`, sync of the folder | `log-R` without a frame, or not | the same, and the store is [failed](crate::Failure) | goes on in the file before, or makes `log-R` anew |
//! | append: zeros, frame | a torn frame | on a full disk nothing: it is cut off, and the next append comes in its place; after any other error, or when it cannot be cut off, the store is failed | drops what is torn ([`tail`]) |
//! | sync of the frame | the frame, torn, whole or not at all | the same, and the store is failed | takes a whole one, and writes it again before anybody sees it |
//! | write a snapshot: create `snapshot-R.tmp`, frames, sync | the temporary file, of any content | nothing: it is removed, and tried again when the log has grown | removes it |
//! | rename to `snapshot-R`, sync of the folder | `snapshot-R` or not, beside all that it replaces | the same, and the store is failed | takes the newest snapshot; older files stay until the next one |
//! | remove what a snapshot replaces | any of it | any of it | passes over what is older than the newest snapshot |
//!
//! Older releases made logs under their own names and left an empty one for each attempt to go on in a new file on a full disk. So a
//! log may be empty, all zeros, or have a part of its header: it has no frame then, and is passed over; or an all-zero header and
//! frames: these count.
//!
//! A sync that failed is never trusted again: the kernel may have dropped the data and hold them for written, so a later success, also
//! one of the next process, says nothing about them. Hence the store takes no more writes, and the next start writes what it
//! relies on once more: the last frame, a log without frames. A snapshot whose own sync failed is thrown away, and what relies on the
//! directory's sync (removing what a snapshot replaces) is done only by the process whose sync succeeded.
//!
//! What is damage: a gap in the chain of revisions; a whole frame that does not match its checksum; sound frames behind something else.
//! Then the store does not open, and [`OpenError`] says what is lost.

mod damage;
mod disk;
mod frame;
mod home;
mod loaded;
mod log;
mod recovery;
mod segment;
mod snapshot;
mod tail;

pub use damage::{Lost, OpenError};
pub use disk::{Disk, DiskFile, SystemDisk};
pub(crate) use frame::{FRAME_MAX, Record};
pub(crate) use home::Home;
pub use home::Sizes;
pub(crate) use loaded::Loaded;
use log::LogEngine;

use tokio::sync::watch;

use crate::health::Failure;
use crate::tables::Tables;

/// What the committer asks of the disk.
pub(crate) trait Engine: Send {
    /// Whether values of a table can be encrypted now, if they have to be.
    fn check(&self, table: &str) -> Result<(), String>;
    /// Makes records durable, all or none. After an error nobody sees them until the store is opened again; after `DiskFull` nobody ever
    /// does.
    fn append(&mut self, records: &[Record]) -> Result<(), EngineError>;
    /// Called after the records have been published: the time for housekeeping.
    fn after_append(&mut self, tables: &Tables);
    /// Writes everything anew, as it is encrypted now.
    fn rewrite(&mut self, tables: &Tables) -> Result<Rewrite, String>;
}

/// The end of a snapshot; `None` while it is being written.
pub(crate) type Ending = watch::Receiver<Option<Result<(), String>>>;

/// What comes of the wish that everything is written anew.
pub(crate) enum Rewrite {
    Begun(Ending),
    /// A snapshot that had begun before comes first.
    After(Ending),
    /// Nothing is on a disk.
    Needless,
}

/// The engine of a store that is gone with its process.
pub(crate) struct Memory;

impl Engine for Memory {
    fn check(&self, _table: &str) -> Result<(), String> {
        Ok(())
    }

    fn append(&mut self, _records: &[Record]) -> Result<(), EngineError> {
        Ok(())
    }

    fn after_append(&mut self, _tables: &Tables) {}

    fn rewrite(&mut self, _tables: &Tables) -> Result<Rewrite, String> {
        Ok(Rewrite::Needless)
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("no space left in {directory}")]
    DiskFull { directory: String },
    /// A value cannot be encrypted.
    #[error("{0}")]
    Encryption(String),
    #[error(transparent)]
    Broken(Failure),
}

/// Opens the folder and reads what is in it.
pub(crate) fn open(home: Home) -> Result<(Box<dyn Engine>, Loaded), OpenError> {
    let (engine, loaded) = LogEngine::open(home)?;
    Ok((Box::new(engine), loaded))
}
