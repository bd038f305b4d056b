//! What an HTTP message says and how answers are written: paths, queries, content negotiation, bodies. Nothing here knows the server.

pub(crate) mod computing;
mod list_body;
pub(crate) mod negotiation;
pub(crate) mod path;
mod pieces_body;
pub(crate) mod query;
pub(crate) mod relay;
pub(crate) mod response;
pub(crate) mod sync_stream;
pub(crate) mod token;

pub use response::Body;
