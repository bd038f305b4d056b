//! Where a Service's traffic goes: EndpointSlices, and the older Endpoints.
//!
//! - [`desired`]: which addresses and ports a Service's pods give, as pure functions;
//! - [`slices`]: how a set of endpoints is spread over EndpointSlices, changing as few of them as possible;
//! - [`endpoint_slice`]: the controller that keeps the slices of Services with a selector;
//! - [`mirroring`]: the controller that copies Endpoints which somebody wrote by hand into slices;
//! - [`endpoints`]: the controller that keeps the Endpoints of Services with a selector.

mod desired;
pub(crate) mod endpoint_slice;
#[expect(clippy::module_inception, reason = "the resource is called endpoints")]
pub(crate) mod endpoints;
pub(crate) mod mirroring;
mod slices;
mod waking;
