//! A provider: one way of writing and reading values.

use std::sync::Arc;

use crate::key_ring::KeyRing;
use crate::kms::Kms;

#[derive(Debug)]
pub(crate) enum Provider {
    /// Writes values as they are.
    Identity,
    Keys(KeyRing),
    Kms(Arc<Kms>),
}

impl Provider {
    /// What stands before everything that it writes; metrics name it by this.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Identity => "",
            Self::Keys(ring) => ring.prefix(),
            Self::Kms(kms) => kms.prefix(),
        }
    }

    /// Whether it can write now; else why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Identity | Self::Keys(_) => Ok(()),
            Self::Kms(kms) => kms.check(),
        }
    }

    /// `None` when the value is written as it is.
    pub(crate) fn seal(&self, associated: &[u8], value: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Identity => Ok(None),
            Self::Keys(ring) => ring.seal(associated, value).map(Some),
            Self::Kms(kms) => kms.seal(associated, value).map(Some),
        }
    }

    /// Opens what stands behind [`prefix`](Self::prefix).
    pub(crate) fn open(&self, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Identity => Err("identity transformer tried to read encrypted data".to_owned()),
            Self::Keys(ring) => ring.open(associated, sealed),
            Self::Kms(kms) => kms.open(associated, sealed),
        }
    }
}
