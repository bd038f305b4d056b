//! The versioned key-value store: etcd's semantics, in the process.
//!
//! There is one revision for everything; each transaction compares modification revisions, and all of it happens or nothing.
//! A table (one for each resource) can be read at a revision, in pages, and watched from a revision. What is acknowledged
//! is on the disk.
//!
//! - [`Table`] is the in-memory side: the objects and the log of recent events of one resource in a single immutable
//!   [`TableState`](table::TableState) that readers take without a lock. It is the watch cache as well.
//! - [`Store`] owns the tables and the committer, a thread that groups many writers into one write and one sync
//!   ([`committer`]), and publishes to the tables only afterwards: nobody can see what a crash could take back.
//! - [`engine`] is the durable side: a log of records and snapshots that bound it, over a [`Disk`] that tests can make fail.
//! - When the disk or the committer fails for good, [`Store::health`] says so, and [`Store::failed`] tells who waits to end the process.
//!
//! The store knows objects as bytes with a place for the revision ([`windlass_machinery::json::Template`]); it does not know
//! kinds, selectors, users or HTTP.

mod committer;
mod encryption;
mod engine;
mod expiring;
mod expiry;
mod health;
mod item;
mod opening;
mod store;
mod table;
mod tables;
mod watch;

pub use encryption::{Encryption, Plaintext};
pub use engine::{Disk, DiskFile, Lost, OpenError, Sizes, SystemDisk};
pub use health::Failure;
pub use item::{Attributes, Event, EventKind, Item};
pub use opening::Options;
pub use store::{RewriteError, Store};
pub use table::{Expired, Page, Range, Table, TableState};
pub use watch::Watch;

pub use crate::committer::{CommitError, Committed, Expect, Op, Txn};
