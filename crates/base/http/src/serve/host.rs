//! The `Host` of a request in HTTP/1.1: there is one. Two of them could mean one server to whoever stands in between and another to us
//! (RFC 9112, section 3.2). The words are those of Go's server.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::Full;
use hyper::ext::ReasonPhrase;

/// Returns what is wrong with a request's `Host`, which Go says of some of it.
fn problem<B>(request: &Request<B>) -> Option<&'static str> {
    if request.version() != Version::HTTP_11 && request.version() != Version::HTTP_10 {
        return None;
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 && request.method() != Method::CONNECT => {
            Some("400 Bad Request: missing required Host header")
        }
        (Some(host), None) if !host.as_bytes().iter().copied().all(is_valid) => {
            Some("400 Bad Request: malformed Host header")
        }
        (Some(_), Some(_)) => Some("400 Bad Request"),
        _ => None,
    }
}

/// Whether a host may have the byte: what RFC 3986 lets it have, and Go with it.
fn is_valid(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&()*+,-.:;=[']_~".contains(&byte)
}

/// Returns the answer to a request whose `Host` is wrong, after which the connection ends.
pub(super) fn refusal<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    let problem = problem(request)?;
    let mut answer = Response::new(Full::from(problem));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    if let Some(("400", reason)) = problem.split_once(' ') {
        answer.extensions_mut().insert(ReasonPhrase::from_static(reason.as_bytes()));
    }
    Some(answer)
}
