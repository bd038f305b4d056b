//! Our plugin: each sandbox gets a routed veth pair. There is no bridge.
//!
//! The sandbox's end carries the address alone (`/32`) and sends everything to 169.254.1.1, an address that nobody has: a
//! permanent neighbour entry maps it to the node's end. The node has a route for each address and a permanent neighbour entry
//! for the sandbox. No ARP is spoken, so nothing has to be answered, and it works on a node without a default route.
//!
//! The node's part (forwarding, egress masquerade, routes that refuse what no sandbox has) is made by [`prepare_node`], and by
//! the first ADD if nobody did before. Host ports are a map in an nftables table of their own.
//!
//! All that is kept between calls is the directory of allocated addresses ([`windlass_ipam::node`]); names of links follow
//! from the container's ID. So DEL works without a previous result, and GC finds what nobody owns.
//!
//! The plugin runs as a process of its own ([`main`]) or as a call within the daemon ([`run`]). It starts no async runtime.

mod add;
mod addresses;
mod check;
mod config;
mod del;
mod host_ports;
mod invocation;
mod link;
mod main;
mod node;

pub use config::PluginOptions;
pub use invocation::Invocation;
pub use main::{is_requested, main, run};
pub use node::{ROUTE_PROTOCOL, prepare_node, remove_node};

/// The plugin's `type` in configurations.
pub const TYPE: &str = "windlass";
