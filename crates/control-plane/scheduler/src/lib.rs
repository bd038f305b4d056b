//! The scheduler: which node a pod runs on.
//!
//! One task owns all state and decides; whatever speaks to the API runs beside it. What happens in the cluster arrives as keys
//! ([`inbox`]) and is read from the informers; a pod that waits is taken from the [`queue`], the [`cycle`] looks for a node with
//! the plugins of its [`framework::Profile`], and if there is one, the pod counts as being there ([`cache::Cluster::assume`]) while
//! its binding is written.
//!
//! Nothing is kept across a restart: bound pods, nominations and conditions are all in the API.
//!
//! What the scheduler does not know: how nodes run pods, and what controllers want. Pods that name another scheduler are left
//! alone.

mod cache;
mod core;
mod cycle;
mod event_log;
mod executor;
mod framework;
mod inbox;
mod metrics;
mod object;
mod options;
mod plugins;
mod queue;
mod rejection;
mod scheduler;
mod status;
mod storage;
mod surroundings;

pub use options::Options;
pub use scheduler::run;
