//! Cluster DNS: the Kubernetes DNS specification 1.1.0 for Services and pods, upstream resolvers for everything else.
//!
//! - [`Dns`] takes changes of Services and EndpointSlices in and answers on the sockets that it is given. Its users connect
//!   informers to it.
//! - `answer` decides, purely: from an index and a question to an answer. `index` keeps up with changes.
//! - `forward` asks others and keeps their answers in `cache`. `wire` reads and writes packets, with hickory-proto.
//! - [`object`]: what is read of API objects. [`Registration`]: the Service under which pods find it.
//!
//! Only pods and the node itself are answered: `clients` tells them from strangers.
//!
//! There are no zones of the user's own, no transfers, no DNSSEC signing, and no recursion by itself.

mod answer;
mod cache;
mod clients;
mod forward;
#[doc(hidden)]
pub mod fuzz;
mod index;
mod metrics;
pub mod object;
mod options;
mod registration;
mod server;
mod wire;

pub use options::{Options, upstreams_of};
pub use registration::Registration;
pub use server::{Dns, own_addresses};
