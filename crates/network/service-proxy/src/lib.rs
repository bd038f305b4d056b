//! Services and EndpointSlices into dataplane maps: the role of kube-proxy.
//!
//! - [`ServiceProxy`] takes changes in and keeps the kernel as they want it. Its users connect informers to it.
//! - [`plan`] decides, purely: from a Service, its slices and a view of the node to frontends and endpoints.
//! - [`program`] turns plans into an nftables table, and a change of plan into a change of that table.
//! - [`object`]: what is read of API objects. [`service`], [`endpoints`]: reduced to what is needed.
//! - [`health`]: what load balancers ask. [`service_route`]: the route of the range.
//!
//! Differences from kube-proxy that a user can see, all on purpose: NodePorts answer on 127.0.0.1; unknown addresses of the
//! service range are rejected and not dropped; session affinity is kept for each address of a Service, not for all together.

pub mod endpoints;
mod flows;
pub mod health;
mod metrics;
pub mod object;
mod options;
pub mod plan;
pub mod program;
mod proxy;
pub mod service;
pub mod service_route;

pub use options::{LocalTraffic, Options};
pub use proxy::{Error, ServiceProxy, SyncReport, remove};
