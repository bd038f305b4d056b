//! Answers.

use std::pin::Pin;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};

/// The body of an answer; an error ends it early.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

fn with(code: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

pub(crate) fn empty(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = code;
    response
}

pub(crate) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    with(code, "text/plain; charset=utf-8", full(text))
}

pub(crate) fn typed(content_type: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    with(StatusCode::OK, content_type, full(bytes))
}

pub(crate) fn json(value: &serde_json::Value) -> Response<Body> {
    with(StatusCode::OK, "application/json", full(value.to_string()))
}

/// A body that grows while it is read.
pub(crate) fn stream(chunks: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Response<Body> {
    let frames: Pin<Box<dyn Stream<Item = std::io::Result<Frame<Bytes>>> + Send>> =
        Box::pin(chunks.map(|chunk| chunk.map(Frame::data)));
    with(StatusCode::OK, "text/plain", BodyExt::boxed_unsync(StreamBody::new(frames)))
}
