//! The image store: an index of images, their documents as blobs, their layers unpacked.
//!
//! On disk, below the root:
//!
//! ```text
//! lock              held while a store is open
//! index.json        the index, forced to disk
//! index.boot.json   the index as it is; counts only until the machine restarts
//! blobs/ALGORITHM/  manifests and configurations by digest
//! layers/HEX/       unpacked layers, by the first 80 bits of the diff ID; used by overlayfs as they are
//! tmp/              what is in the making or on its way out
//! ```
//!
//! Compressed layers are not kept: they are unpacked while they arrive.

mod blobs;
mod collect;
mod core;
mod durable;
mod index;
mod layers;
mod open;
mod persist;
mod service;

pub use collect::Reclaimed;
pub use core::{ImageStore, LayersInUse, Lease, StoreError};
pub use open::OpenError;

pub(crate) use core::Core;
pub(crate) use index::ImageRecord;
pub(crate) use layers::{LayerError, LayerSource};
