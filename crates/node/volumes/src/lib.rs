//! The kubelet's volumes: what a pod's `spec.volumes` come to on this node.
//!
//! [`Volumes`] sets up, mounts into containers, measures and tears down. [`plan`](plan::plan) says, purely, what each
//! volume needs; the plugins carry it out with mounts and files in upstream's layout, idempotently. Contents come from
//! the kubelet through [`Sources`]. The [`downward`] API and `$(NAME)` [`expansion`](expand) are pure modules of their own, for
//! the kubelet makes environment variables with them too.
//!
//! What it does not know: the API server, when a pod may start or must end, and CSI, whose volumes will be one more plan.

mod atomic_writer;
mod cleanup;
mod container;
pub mod downward;
mod expansion;
mod layout;
mod mounted;
mod mounts;
mod ownership;
mod payload;
pub mod plan;
mod plugins;
mod pod;
mod sources;
mod sub_path;
mod tokens;
mod volumes;

pub use atomic_writer::WriteError;
pub use cleanup::TearDownError;
pub use container::MountError;
pub use expansion::{Room, TooLong, expand_known};
pub use layout::{Layout, Plugin};
pub use mounted::Mounted;
pub use mounts::unmount_below;
pub use payload::PayloadError;
pub use plan::NodeFacts;
pub use plugins::SetUpError;
pub use sources::{ConfigMapData, Credentials, SecretData, SourceError, Sources, Token, TokenRequest};
pub use volumes::{SetUp, VolumeError, Volumes};
