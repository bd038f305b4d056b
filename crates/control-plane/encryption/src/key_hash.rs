//! How messages and metrics show what they must not repeat: the ID of a key, the identity of a server.

use windlass_machinery::digest;

/// Nothing for nothing.
pub(crate) fn hash(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("sha256:{}", digest::hex(text.as_bytes())) }
}
