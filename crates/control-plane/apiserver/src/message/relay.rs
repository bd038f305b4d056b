//! What everything has in common that carries a request to another server and its answer back: which headers go no further, and how
//! bodies and upgraded connections are handed on.

use std::fmt::Display;

use bytes::Bytes;
use futures::StreamExt;
use http::Response;
use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use windlass_http::header;

use super::response::{Body, full};
use super::token::remove_token_protocol;

/// Headers that are about one connection and go no further (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether the client wants to speak something else on the connection.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    header::list(headers, &CONNECTION).iter().any(|token| token.eq_ignore_ascii_case("upgrade"))
}

/// Takes off the client's credentials, and whom it says to be or to act as: they were for us.
pub(crate) fn remove_identity(headers: &mut HeaderMap) {
    headers.remove(http::header::AUTHORIZATION);
    remove_token_protocol(headers);
    let of_identity =
        |name: &&HeaderName| name.as_str().starts_with("impersonate-") || name.as_str().starts_with("x-remote-");
    let names: Vec<HeaderName> = headers.keys().filter(of_identity).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// Takes off what is about one connection, and what `Connection` says is.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> =
        header::list(headers, &CONNECTION).into_iter().map(|name| name.to_ascii_lowercase()).collect();
    for name in named.iter().map(String::as_str).chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Takes off what is about the client's connection; what it asks to upgrade to is asked of the other server too.
pub(crate) fn keep_only_upgrade(headers: &mut HeaderMap) {
    let protocol = headers.get(UPGRADE).cloned().filter(|_| is_upgrade(headers));
    remove_hop_by_hop(headers);
    if let Some(protocol) = protocol {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Answers with the switch of protocols, and then hands bytes to and fro until both sides have ended.
pub(crate) fn tunnel(client: OnUpgrade, mut answer: Response<Incoming>, permit: impl Send + 'static) -> Response<Body> {
    let target = hyper::upgrade::on(&mut answer);
    tokio::spawn(async move {
        let _permit = permit;
        let (client, target) = match tokio::try_join!(client, target) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "an upgraded connection did not come about"),
        };
        let (mut client, mut target) = (TokioIo::new(client), TokioIo::new(target));
        if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut target).await {
            tracing::debug!(%error, "an upgraded connection ended early");
        }
    });
    let (parts, _) = answer.into_parts();
    Response::from_parts(parts, full(""))
}

/// An answer that holds something (the right to its connection) until all of it has been handed on.
pub(crate) fn held(answer: Response<Body>, permit: impl Send + Sync + 'static) -> Response<Body> {
    answer.map(|body| {
        BodyExt::boxed(body.map_frame(move |frame| {
            let _held = &permit;
            frame
        }))
    })
}

/// A body from another server. One that breaks off can only be ended; the length that was announced tells the client.
pub(crate) fn passed_on<B>(body: B) -> Body
where
    B: http_body::Body<Data = Bytes, Error: Display + Send + Sync> + Send + Sync + 'static,
{
    let frames = body.into_data_stream().take_while(|chunk| {
        if let Err(error) = chunk {
            tracing::debug!(%error, "a proxied answer broke off");
        }
        std::future::ready(chunk.is_ok())
    });
    BodyExt::boxed(StreamBody::new(frames.filter_map(async |chunk| chunk.ok().map(|bytes| Ok(Frame::data(bytes))))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_acted_as_behind_the_proxy() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "impersonate-user",
            "impersonate-group",
            "impersonate-extra-scopes",
            "x-remote-user",
            "accept",
        ] {
            headers.append(name, HeaderValue::from_static("a"));
            headers.append(name, HeaderValue::from_static("b"));
        }
        remove_identity(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn what_is_about_one_connection_stays_there() {
        let mut headers = HeaderMap::new();
        // Something in the list that is no text hides nothing of the rest.
        for (name, value) in
            [("connection", &b"\xff, Upgrade, X-Own"[..]), ("x-own", b"1"), ("upgrade", b"h2c"), ("accept", b"*/*")]
        {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        }
        assert!(is_upgrade(&headers));
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
