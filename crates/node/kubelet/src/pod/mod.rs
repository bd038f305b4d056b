//! What the kubelet reads from a pod's specification. Pure: no I/O, no clock.
//!
//! - [`view`]: names, containers of all three kinds, and what defaulting would have filled in
//! - [`restart`]: whether a container that has ended is started again
//! - [`resources`]: requests and limits of containers and of the whole pod
//! - [`qos`]: the quality-of-service class

pub(crate) mod qos;
pub(crate) mod resources;
pub(crate) mod restart;
mod view;

pub(crate) use view::{ContainerKind, PodView, PullPolicy, is_sidecar, phase};
