//! Seccomp: which system calls a container may make.
//!
//! - [`profile`]: a profile as rules on names of system calls
//! - [`default`]: the profile `RuntimeDefault`
//! - [`oci`]: profiles from files (`Localhost`)
//! - [`compile`]: a profile as a program of the kernel's packet filter
//!
//! Own compilation, because a filter needs a different error for different calls (`clone3` must look absent), rules for the
//! 32-bit calls of 64-bit machines, and an answer for calls that are newer than the profile; seccompiler has none of these.

pub(crate) mod compile;
mod default;
pub(crate) mod oci;
mod profile;

pub(crate) use default::default_profile;
#[cfg(test)]
pub(crate) use profile::Rule;
