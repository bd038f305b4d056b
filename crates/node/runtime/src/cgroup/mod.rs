//! Cgroups of containers, in the hierarchies of v1 or in the one of v2.
//!
//! A cgroup is named by its path below the root of every hierarchy, as the kubelet names it
//! (`/kubepods/burstable/pod<uid>/<container id>`). Existing hierarchies stay as they are; only children are made.
//!
//! Everything here blocks (files in the kernel's file systems) and belongs on blocking threads. Processes enter a cgroup by
//! themselves ([`crate::launch::cgroup`]); this module makes, limits, reads, ends and removes cgroups.
//!
//! - [`hierarchy`]: which hierarchies this node has
//! - [`place`]: one cgroup by its path; [`tree`]: what can be done with it
//! - [`resources`]: limits as files and values, without I/O
//! - [`v1`], [`v2`]: making and limiting
//! - [`devices`], [`device_program`]: which devices may be used
//! - [`members`]: ending what runs inside
//! - [`usage`]: what it has used

pub(crate) mod device_program;
pub(crate) mod devices;
mod error;
mod hierarchy;
mod members;
mod place;
mod resources;
mod tree;
pub(crate) mod usage;
mod v1;
mod v2;

pub(crate) use error::CgroupError;
pub use hierarchy::CgroupLayout;
pub(crate) use hierarchy::find as find_hierarchies;
pub(crate) use place::Cgroup;
