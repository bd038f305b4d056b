//! Desired network state into kernel state: nftables, routes, links, neighbours, kernel parameters and connection tracking,
//! over netlink and system calls, in any network namespace.
//!
//! Everything is synchronous: the kernel answers netlink before the system call returns. Large changes take milliseconds to
//! tens of milliseconds, so asynchronous callers put those on a blocking thread.
//!
//! - [`nftables`]: typed rules and maps; [`nftables::Table`] keeps a shadow of the kernel's table and sends differences only.
//! - [`route`]: links, addresses, routes and neighbours, and keeping a set of routes as wanted.
//! - [`conntrack`]: finding and deleting tracked connections.
//! - [`Netns`]: where all this happens. [`sysctl`]: kernel parameters.
//!
//! This crate knows the kernel and nothing of Kubernetes: Services, pods and policies are its callers' business.

pub mod conntrack;
mod error;
mod netlink;
mod netns;
pub mod nftables;
pub mod route;
pub mod sysctl;

pub use error::{Error, Result};
pub use netns::Netns;
