//! Unpacking a layer: from a stream of compressed bytes to a directory that overlayfs can use as a lower layer.
//!
//! Everything here blocks and belongs on a blocking thread. Nothing an archive says leads outside the layer's directory: every
//! path is opened below it (windlass-tree), so that symbolic links resolve as they would in the container.

mod attributes;
mod decompress;
mod extract;
mod implied;
mod layer;
mod room;

pub use decompress::{Compression, Decoder};
pub use extract::{ExtractError, Limits};
pub use implied::{FixupError, repair_implied_directories};
pub use layer::{UnpackError, Unpacked, unpack};
pub use room::{Reserve, RoomError};

/// Overlayfs' mark for a directory that hides what lower layers have in it.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
