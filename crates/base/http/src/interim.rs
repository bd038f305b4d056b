//! What a server says before it answers (`100 Continue`, `103 Early Hints`), of which there may be any number.
//!
//! Nobody here wants any of it, and hyper passes over it without end. As in Go, all of it together may be as long as a head may be.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::exchange::ExchangeError;

/// Bytes of an answer's head, and of what comes before it.
pub(crate) const HEAD_BYTES_MAX: usize = 256 << 10;
/// Those of `HTTP/1.1 100 ` and of two line ends, and of what stands between and behind a name and its value.
const STATUS_BYTES: usize = 17;
const FIELD_BYTES: usize = 4;

#[derive(Default)]
struct Said {
    bytes: AtomicUsize,
    is_too_much: Notify,
}

/// Sends a request and awaits the head of its answer, if it is not preceded by too much.
pub(crate) async fn bounded<B, E, F>(
    mut request: Request<B>,
    send: impl FnOnce(Request<B>) -> F,
) -> Result<Response<Incoming>, ExchangeError>
where
    E: Error + 'static,
    F: Future<Output = Result<Response<Incoming>, E>>,
{
    let said = Arc::<Said>::default();
    let counted = said.clone();
    hyper::ext::on_informational(&mut request, move |interim| {
        let fields = interim.headers().iter();
        let fields: usize = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
        let bytes = STATUS_BYTES + fields;
        if counted.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > HEAD_BYTES_MAX {
            counted.is_too_much.notify_one();
        }
    });
    tokio::select! {
        // The connection goes with the request that is given up.
        () = said.is_too_much.notified() => Err(ExchangeError::HeadTooLarge(HEAD_BYTES_MAX)),
        answer = send(request) => answer.map_err(|error| ExchangeError::of(&error)),
    }
}
