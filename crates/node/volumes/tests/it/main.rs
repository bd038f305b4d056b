//! Volumes with real mounts. Needs root.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod files;
mod parts;
mod persistent;
mod support;
mod teardown;
mod temporary;
