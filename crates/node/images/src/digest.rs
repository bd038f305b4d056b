//! Digests: the names of contents. `sha256:…` and `sha512:…` are understood, as the OCI image specification registers them.
//!
//! [`Hasher`] computes a digest while bytes stream by; nothing here reads or writes anything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A digest whose algorithm is known and whose hex part is well formed, in its one canonical spelling.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Box<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("invalid checksum digest format")]
    Format,
    #[error("unsupported digest algorithm {0:?}, use sha256 or sha512")]
    Algorithm(String),
    #[error("invalid checksum digest length")]
    Length,
}

impl Algorithm {
    fn ring(self) -> &'static ring::digest::Algorithm {
        match self {
            Self::Sha256 => &ring::digest::SHA256,
            Self::Sha512 => &ring::digest::SHA512,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

impl Digest {
    /// The SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// `sha256:` and 64 digits in the form that image IDs have.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn algorithm(&self) -> Algorithm {
        if self.0.starts_with("sha512:") { Algorithm::Sha512 } else { Algorithm::Sha256 }
    }

    pub fn hex(&self) -> &str {
        // `from_str` lets only texts with a colon after the algorithm become a digest.
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// Whether `bytes` have this digest.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut hasher = Hasher::new(self.algorithm());
        hasher.update(bytes);
        hasher.finish() == *self
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        let well_formed = !hex.is_empty() && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let digits = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ if algorithm.is_empty() || !well_formed => return Err(DigestError::Format),
            _ => return Err(DigestError::Algorithm(algorithm.to_owned())),
        };
        if !well_formed {
            return Err(DigestError::Format);
        }
        if hex.len() != digits {
            return Err(DigestError::Length);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0.into()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Computes a digest over a stream and counts its bytes.
pub(crate) struct Hasher {
    context: ring::digest::Context,
    algorithm: Algorithm,
    bytes: u64,
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self { context: ring::digest::Context::new(algorithm.ring()), algorithm, bytes: 0 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes went in so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn finish(self) -> Digest {
        let mut text = String::with_capacity(7 + 128);
        text.push_str(self.algorithm.name());
        text.push(':');
        for byte in self.context.finish().as_ref() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }));
            }
        }
        Digest(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parses_and_refuses() {
        assert_eq!(Digest::of(b"").as_str(), EMPTY);
        assert!(EMPTY.parse::<Digest>().unwrap().matches(b""));
        let cases = [
            ("", DigestError::Format),
            ("sha256", DigestError::Format),
            ("sha256:", DigestError::Format),
            (":abc", DigestError::Format),
            ("sha256:zz", DigestError::Format),
            ("sha256:abcd", DigestError::Length),
            ("sha256:../../etc/passwd", DigestError::Format),
            ("md5:abcd", DigestError::Algorithm("md5".into())),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<Digest>(), Err(error), "{text}");
        }
        assert_eq!(EMPTY.to_uppercase().parse::<Digest>(), Err(DigestError::Format));
    }

    #[test]
    fn sha512_is_understood() {
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"abc");
        assert_eq!(hasher.bytes(), 3);
        let digest = hasher.finish();
        assert!(digest.as_str().starts_with("sha512:ddaf35a193617aba"));
        assert_eq!(digest.as_str().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.algorithm(), Algorithm::Sha512);
        assert_eq!(digest.hex().len(), 128);
    }
}
