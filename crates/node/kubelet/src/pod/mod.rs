//! What the kubelet reads from a pod's specification. Pure: no I/O, no clock.
//!
//! - [`view`]: names, containers of all three kinds, and what defaulting would have filled in
//! - [`resources`]: requests and limits of containers as cgroups count them
//! - [`apparmor`]: profiles that containers ask for
//! - [`qos`]: what follows from the quality-of-service class
//!
//! What the whole pod takes of the node is computed in `windlass_api::pod`.

pub(crate) mod apparmor;
pub(crate) mod qos;
pub(crate) mod resources;
mod view;

pub(crate) use view::{ContainerKind, PodView, PullPolicy, phase};
pub(crate) use windlass_api::pod::is_sidecar;
