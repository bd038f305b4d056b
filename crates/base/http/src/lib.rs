//! HTTP as every component speaks it.
//!
//! [`serve`] accepts connections and answers requests: TLS, HTTP/1.1 and HTTP/2, deadlines, bounds, an end that lets requests finish. The
//! API server, the kubelet's API and what else listens hand it a [`serve::Service`] and say no more than what they answer. [`dial`] makes
//! connections to others, and its failures carry the words that Go's network library has for them, for those are what users search for. [`pool`] keeps
//! connections for requests to come, each of them a [`Kept`]. [`body`] reads what a stranger sends, so much of it and until then; [`exchange`] says how a request failed once there was a connection;
//! [`header`] reads headers.
//!
//! It knows neither Kubernetes' objects nor who may do what.

pub mod body;
pub mod dial;
mod dial_error;
pub mod exchange;
pub mod header;
mod interim;
mod kept;
pub mod pool;
pub mod serve;

pub use kept::Kept;
