//! SPDY/3.1, as far as Kubernetes speaks it: streams with headers over one connection, without flow control.
//!
//! client-go's older tools open exec, attach and port-forward with `Upgrade: SPDY/3.1`; newer ones carry the same frames for
//! port-forward within a WebSocket. [`frame`] reads and writes frames, [`headers`] compresses header blocks, [`connection`] serves a
//! connection. Source: the SPDY/3.1 draft, and what client-go's `spdystream` makes of it (it knows no flow control either).

pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod headers;
