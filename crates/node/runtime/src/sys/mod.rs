//! System calls that neither std nor nix wrap: the mount API of file descriptors, `clone3`, path lookup inside a root, file
//! descriptors in messages, threads that are thrown away after they have changed their namespaces.
//!
//! These are thin: one call each, errors as [`std::io::Error`], no policy. What they are called for, and in which order, is
//! the business of [`crate::launch`] and of the daemon's modules.

pub(crate) mod capability;
pub(crate) mod message;
pub(crate) mod mount;
pub(crate) mod path;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod thread;
