//! Outcomes and failures as HTTP responses.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use windlass_api::time::Clock;
use windlass_api::{Status, Timestamp};

use super::computing::Computing;
use super::list_body::ListBody;
use super::pieces_body::pieces_body;
use super::sync_stream::SyncStream;
use crate::context::Context;
use crate::encode::Format;
use crate::list_pieces::ListPieces;
use crate::outcome::Outcome;
use crate::watcher::{Change, Watcher};

pub type Body = BoxBody<Bytes, Infallible>;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A response of some words for people, which no browser shall take for anything else.
pub(crate) fn words(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = plain(code, "text/plain; charset=utf-8", text);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A response of some text that is no API object.
pub(crate) fn plain(code: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn failure(status: &Status, format: Format) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(code, format.content_type(), format.status(status));
    if let Some(seconds) = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|s| *s > 0) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if code == StatusCode::FORBIDDEN {
        // It repeats what a client has sent who may do nothing.
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    finish(response)
}

/// What every response carries that says nothing else: it depends on who asks, so nobody may keep it.
pub(crate) fn finish(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

/// `encoding` gives the user the turns in which long lists are encoded.
pub(crate) fn success(
    clock: Clock,
    outcome: Outcome,
    format: Format,
    (encoding, user): (&Arc<Computing>, &str),
) -> Result<Response<Body>, Status> {
    let now = clock.now();
    let response = match outcome {
        Outcome::Object { payload, created } => {
            let code = if created { StatusCode::CREATED } else { StatusCode::OK };
            plain(code, format.content_type(), format.object(&payload, now)?)
        }
        Outcome::List(listed) => {
            let body = match format.plain_list_head(&listed) {
                Some(head) => {
                    let prefix = listed.served.resource.is_custom().then(|| listed.served.prefix.as_slice());
                    ListBody::new(head, prefix.unwrap_or_default(), listed.items).boxed()
                }
                None => match ListPieces::of(format, &listed, now)? {
                    Some(pieces) => pieces_body(pieces, listed.items, encoding.clone(), user.to_owned()),
                    None => full(format.list(&listed, now)?),
                },
            };
            let mut response = Response::new(body);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            response
        }
        Outcome::Watch(watcher) => {
            let mut response = Response::new(watch_body(clock, *watcher, format));
            let content_type = HeaderValue::from_static(format.watch_content_type());
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        }
    };
    Ok(finish(response))
}

/// What the client is told beside the answer, whatever the answer is.
pub(crate) fn with_warnings(mut response: Response<Body>, context: &Context) -> Response<Body> {
    for warning in context.take_warnings() {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"").replace(|c: char| c.is_control(), " ");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

/// About the largest piece of a watch that is made at once.
const PIECE_BYTES: usize = 128 << 10;

/// Streams changes as they come. Of many changes at once so many are encoded as are sent together: a client that does not read holds one
/// piece, and what the store has anyway.
fn watch_body(clock: Clock, watcher: Watcher, format: Format) -> Body {
    let watched = Watched { watcher, changes: VecDeque::new(), is_first: true };
    let frames = stream::unfold(watched, move |mut watched| async move {
        if watched.changes.is_empty() {
            match watched.watcher.next().await? {
                Ok(changes) => watched.changes.extend(changes),
                Err(status) => return Some((Ok(Frame::data(format.error_frame(&status))), watched)),
            }
        }
        let piece = watched.piece(format, clock.now());
        Some((Ok(Frame::data(piece)), watched))
    });
    BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames))))
}

/// A watch, and what of it has come and is not sent yet.
struct Watched {
    watcher: Watcher,
    changes: VecDeque<Change>,
    /// Nothing has been sent yet: the first table has columns.
    is_first: bool,
}

impl Watched {
    /// The next changes as they are sent; a single one from the one encoding that all watchers share.
    fn piece(&mut self, format: Format, now: Timestamp) -> Bytes {
        let first = self.encode(format, now);
        if self.changes.is_empty() || first.len() >= PIECE_BYTES {
            return first;
        }
        let mut piece = BytesMut::from(&*first);
        while piece.len() < PIECE_BYTES && !self.changes.is_empty() {
            piece.extend_from_slice(&self.encode(format, now));
        }
        piece.freeze()
    }

    fn encode(&mut self, format: Format, now: Timestamp) -> Bytes {
        let Some(change) = self.changes.pop_front() else { return Bytes::new() };
        let is_first = std::mem::take(&mut self.is_first);
        let encoded = format.change(&self.watcher.served, &change, is_first, now);
        encoded.unwrap_or_else(|status| format.error_frame(&status))
    }
}
