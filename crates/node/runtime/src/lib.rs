//! The embedded container runtime: Linux containers by system calls, without a runtime binary on the node.
//!
//! [`Runtime`] implements [`windlass_cri::RuntimeService`]. It runs in the daemon, decides everything and forks nothing. Processes
//! are made by the supervisor ([`supervisor`]), a small process of its own that outlives the daemon, so that a restart, a
//! crash or an upgrade leaves pods running.
//!
//! From the kubelet's wish to a process:
//!
//! 1. `sandbox` pins namespaces as files and joins the pod network.
//! 2. `container` decides (with `spec`) everything about a container: a plan (`launch::spec`).
//! 3. `overlay` makes its root file system, `cgroup` its cgroup.
//! 4. The supervisor forks a child, which carries the plan out (`launch`) and becomes the container's program.
//!
//! What is remembered lies in `store`, what is found after a restart is judged in `recovery`.
//!
//! The crate knows neither Kubernetes objects nor where images and networks come from.

mod cgroup;
mod container;
mod core;
mod error;
mod events;
mod launch;
mod layout;
mod options;
mod overlay;
mod port_forward;
mod record;
mod recovery;
mod registry;
mod runtime;
mod sandbox;
mod sandbox_config;
mod service;
mod spec;
mod stats;
mod store;
mod stream;
pub mod supervisor;
mod sys;

pub use cgroup::CgroupLayout;
pub use options::Options;
pub use runtime::Runtime;
