//! From what the kubelet and the image ask for to plans that a launch carries out ([`crate::launch::spec`]).
//!
//! One file for each question: which user, which capabilities, which mounts. They are pure but for two looks at the world,
//! which are passed in: files of the image (users) and devices of the node.

pub(crate) mod capabilities;
pub(crate) mod devices;
pub(crate) mod mounts;
pub(crate) mod program;
pub(crate) mod seccomp;
pub(crate) mod user;
