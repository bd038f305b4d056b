//! Plans into an nftables table.
//!
//! # Lookup
//!
//! A packet to a Service takes three lookups, however many Services there are:
//!
//! 1. `services`: address . protocol . port -> number of a chain. A NodePort has the unspecified address.
//! 2. `dispatch`: number -> goto that chain. There is one chain for each *way to pick*, not for each Service: `pick-3` picks
//!    one of three endpoints for all Services that have three. nftables wants the count in the rule, hence the chains.
//! 3. `endpoints`: address . protocol . port . random slot -> endpoint.
//!
//! Why numbers, and not verdicts in `services`: the kernel walks every verdict of a table when one is added (2 ms for 10,000),
//! but plain data costs nothing.
//!
//! Endpoints of traffic policy Cluster have slots 0, 1, …; those of policy Local have slots from 2^31 on. When an endpoint
//! goes, the last one takes its slot, so a change costs two elements and not a whole list.
//!
//! With session affinity, `affinity` remembers a number for each client, `sticky-slots` leads from slots to numbers, and
//! `sticky-endpoints` from numbers to endpoints. A number is made of the endpoint's address, so it outlives restarts, and one
//! whose endpoint is gone leads nowhere: the client gets another.
//!
//! # Parts
//!
//! - [`chains`]: the ways to pick, and their rules. [`base`]: the rules that are always there.
//! - [`slots`]: endpoints in slots. [`elements`]: a port's plan as elements of maps.
//! - [`Program`]: what is programmed now, and the change from one plan to the next.

mod base;
mod chains;
mod elements;
mod slots;
mod state;

pub use state::{PortKey, Program, UdpTargets};

/// The table's name, in the families `ip` and `ip6`.
pub const TABLE: &str = "windlass-services";

/// The names of sets and maps.
mod set {
    pub(super) const SERVICES: &str = "services";
    pub(super) const DISPATCH: &str = "dispatch";
    pub(super) const ENDPOINTS: &str = "endpoints";
    pub(super) const AFFINITY: &str = "affinity";
    pub(super) const STICKY_SLOTS: &str = "sticky-slots";
    pub(super) const STICKY_ENDPOINTS: &str = "sticky-endpoints";
    /// Frontends without any endpoint.
    pub(super) const REJECTED: &str = "rejected";
    /// Frontends that must not leave this node and have no endpoint here.
    pub(super) const DROPPED: &str = "dropped";
    /// Frontends that only some may use, and who may.
    pub(super) const RESTRICTED: &str = "restricted";
    pub(super) const SOURCES: &str = "sources";
    /// Addresses of local endpoints, twice.
    pub(super) const HAIRPIN: &str = "hairpin";
    /// ClusterIPs outside of the ranges that are known.
    pub(super) const CLUSTER_IPS: &str = "cluster-ips";
}
