//! How components reach the API.
//!
//! A [`Request`] says what is wanted in the API's own terms, without URL or encoding; a [`Transport`] carries it out. The direct transport
//! (in the API server's crate) is a call within the process, the HTTPS transport speaks to any API server. What comes back
//! are [`Object`]s: bytes, decoded by whoever needs a field of them into a struct of just these fields.

mod object;
mod options;
mod request;
mod transport;

pub use object::{Event, EventKind, List, Object};
pub use options::{DeleteOptions, Options, Propagation, VersionMatch};
pub use request::{Body, Encoding, PatchType, Request, Verb};
pub use transport::{Reply, Transport};
