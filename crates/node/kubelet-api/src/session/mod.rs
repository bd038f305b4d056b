//! What exec, attach and port-forward do, whatever the client speaks: WebSocket or SPDY.
//!
//! A client is a handful of channels: what it sends arrives in bounded queues, what it is sent goes through one bounded queue to the
//! connection. So a slow client holds the process back, and a slow process the client.

pub(crate) mod channel;
pub(crate) mod forward;
pub(crate) mod run;
pub(crate) mod status;
