//! Errors of the operating system that everybody treats alike.

use std::io;

/// Whether a call failed because the disk, or what one may have of it, is used up.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
