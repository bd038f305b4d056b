//! How components reach the API.
//!
//! A [`Request`] says what is wanted in the API's own terms, without URL or encoding; a [`Transport`] carries it out. The direct
//! transport (in the API server's crate) is a call within the process, [`https`] speaks to any API server. What comes back are
//! [`Object`]s: bytes, decoded by whoever needs a field of them into a struct of just these fields.
//!
//! On top of that: [`Client`] for single requests, [`Informers`] for a view that keeps itself up to date, [`WorkQueue`] for
//! controllers, [`Recorder`] for events, [`leader_election`].

mod client;
mod discovery;
pub mod https;
mod informer;
pub mod leader_election;
mod object;
mod options;
mod recorder;
mod request;
mod transport;
pub mod wire;
mod work_queue;

pub use client::{Client, OBJECT, STATUS, Subresource};
pub use discovery::{ApiResource, Discovered};
pub use informer::{Change, Informer, Informers};
pub use object::{Event, EventKind, List, Object};
pub use options::{DeleteOptions, Options, Preconditions, Propagation, VersionMatch};
pub use recorder::{EventNames, EventType, ObjectReference, Recorder};
pub use request::{Body, Encoding, PatchType, Request, Verb};
pub use transport::{Reply, Transport};
pub use work_queue::{Outcome, WorkQueue};
