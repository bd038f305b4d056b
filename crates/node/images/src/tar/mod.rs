//! Reading tar archives as a stream: POSIX ustar and pax, GNU, and what old tools left behind.
//!
//! Layers come from strangers, so everything that is kept in memory has a bound (extended headers, sparse maps), numbers are
//! checked, and nothing panics. The reader yields entries and their data; it knows neither file systems nor whiteouts.

mod header;
mod pax;
mod reader;
mod sparse;

pub(crate) use pax::Timestamp;
pub(crate) use reader::{Entry, Kind, TarReader};
pub(crate) use sparse::Extent;

/// Size of a tar block.
const BLOCK: usize = 512;
/// Upstream's (Go's) limit for an extended header, so that what it refuses is what we refuse.
const EXTENDED_BYTES_MAX: u64 = 1 << 20;
/// Bound of a sparse file's map.
const EXTENTS_MAX: usize = 65_536;

#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("reading the archive")]
    Read(#[source] std::io::Error),
    #[error("the archive ends in the middle of an entry")]
    Truncated,
    #[error("invalid tar header: {0}")]
    Header(&'static str),
    #[error("invalid pax header record")]
    Pax,
    #[error("an extended header of {0} bytes is longer than {EXTENDED_BYTES_MAX}")]
    ExtendedTooLong(u64),
    #[error("invalid sparse map")]
    Sparse,
    #[error("unhandled tar entry type {0:?}")]
    Kind(char),
}
