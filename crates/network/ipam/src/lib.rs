//! Addresses for pods.
//!
//! Two allocators that do not know each other:
//!
//! - [`node`]: what our CNI plugin uses. The node has a range (its `podCIDR`); allocations are kept in a directory of the node,
//!   safe against crashes and against plugin processes that run at the same time.
//! - [`block`], [`assign`]: Calico's model for clusters whose pools are shared. A pool is cut into blocks, a block has affinity
//!   to a node, addresses come from the node's own blocks first. All of it is pure: values in, values to be written out.
//!   Whoever calls keeps the values in the API and resolves conflicts by their resourceVersion.
//!
//! The second has no caller yet: clusters of several nodes with shared pools (Calico's `IPPool`) will. It is complete and tested: pools,
//! blocks with affinity, borrowing from other nodes' blocks, handles.
//!
//! Nothing here configures interfaces or routes.

pub mod assign;
pub mod block;
mod hash;
pub mod node;
mod range;
