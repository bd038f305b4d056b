//! Encryption at rest: in what form the values of resources stand on the disk.
//!
//! [`AtRest`] is what the store asks. Secrets are encrypted with the cluster's own key ([`OwnKeys`]) as long as nobody says otherwise. An
//! [`EncryptionConfiguration`] says otherwise: it names providers for resources, of which the first writes and each reads what it has written.
//! A provider has keys of its own ([`key_ring`]) or asks a key management service outside ([`kms`]). What is encrypted begins with the name
//! of its provider, so that values of any age find the right one.
//!
//! In memory values are as they are; so only two things open what is encrypted: a start, which reads everything, and nothing else. A store
//! that is written anew ([`windlass_store::Store::rewrite`]) has nothing left that needs an older key.
//!
//! Source: upstream apiserver `pkg/server/options/encryptionconfig`, `pkg/storage/value/encrypt`; KEP-3299 (KMS v2).

mod at_rest;
mod configuration;
mod figures;
#[expect(clippy::disallowed_methods, reason = "the cluster's own key is the kernel's random numbers")]
mod key_files;
mod key_hash;
#[expect(clippy::disallowed_methods, reason = "nonces are the kernel's random numbers")]
mod key_ring;
mod kms;
#[expect(clippy::disallowed_methods, reason = "nonces are the kernel's random numbers")]
mod own_keys;
mod provider;
mod rotation;
mod rules;
mod validation;

#[cfg(test)]
mod plugin;
#[cfg(test)]
mod tests;

pub use at_rest::AtRest;
pub use configuration::EncryptionConfiguration;
pub use key_files::{KeyFileError, KeyFiles};
pub use own_keys::OwnKeys;
pub use rotation::{Rotation, RotationError};

/// What a value is bound to, so that values cannot be exchanged on the disk.
fn associated_data(table: &str, key: &str) -> Vec<u8> {
    [table.as_bytes(), b"\0", key.as_bytes()].concat()
}
