//! A node's own allocator: one address of each of the node's ranges for every attachment of a container to the network.
//!
//! [`State`] decides, purely. [`NodeAllocator`] keeps the state in a directory: every operation takes a file lock, reads the
//! state, changes it and puts a complete new file in the place of the old one. A process that is killed at any moment leaves
//! the old state or the new one, and no lock. Plugin processes that run at the same time wait for one another.

mod allocator;
mod state;

pub use allocator::{Error, NodeAllocator};
pub use state::{Exhausted, Owner, State};
