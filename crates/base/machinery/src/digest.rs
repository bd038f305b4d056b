//! SHA-256 in the spellings that the API uses for entity tags and hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The whole digest in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first `length` bytes of the digest in base64.
pub fn base64(bytes: &[u8], length: usize) -> String {
    STANDARD.encode(&Sha256::digest(bytes)[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        assert!(hex(b"").starts_with("e3b0c44298fc1c14"));
        assert_eq!(base64(b"", 8), "47DEQpj8HBQ=");
    }
}
