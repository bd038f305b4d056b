//! Connections to others: name lookup, TCP to the first address that answers, TLS, HTTP.
//!
//! Nothing here retries: who dials knows what a failure means to it, and [`DialError::is_transient`] says whether the same may succeed in a
//! second.

mod http;
mod lookup;
mod roots;
mod stream;
mod tcp;
mod tls;

pub use crate::dial_error::{DialError, go_words};
pub use http::{Driver, Sender, http1, http2};
pub use roots::{roots_of, system_roots};
pub use stream::Stream;
pub use tcp::tcp;
pub use tls::tls;

/// `host:port`, with brackets around an IPv6 address.
pub fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
