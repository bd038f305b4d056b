//! The beginning of a WebSocket (RFC 6455, section 4), and the choice of its subprotocol.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use windlass_http::header::list;

use crate::respond::{Body, empty};

/// Larger messages end the connection. client-go sends at most 32 KiB at once.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Why a request is no beginning of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("the request has no usable Sec-WebSocket-Key, or its Sec-WebSocket-Version is not 13")]
    Handshake,
    #[error("unable to negotiate protocol: client supports {client:?}, server accepts {server:?}")]
    Protocol { client: Vec<String>, server: Vec<String> },
}

/// Whether the client wants a WebSocket.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    has_token(headers, &header::CONNECTION, "upgrade") && has_token(headers, &header::UPGRADE, "websocket")
}

/// Whether a list header has a token.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).iter().any(|have| have.eq_ignore_ascii_case(token))
}

/// Chooses the client's first subprotocol that we know; a client without wishes gets the empty one, when that is known.
pub(crate) fn choose(headers: &HeaderMap, known: &[&'static str]) -> Result<&'static str, UpgradeError> {
    let wanted = list(headers, &header::SEC_WEBSOCKET_PROTOCOL);
    let found = match wanted.as_slice() {
        [] => known.iter().find(|name| name.is_empty()),
        wanted => wanted.iter().find_map(|name| known.iter().find(|known| *known == name)),
    };
    found.copied().ok_or_else(|| UpgradeError::Protocol {
        client: wanted,
        server: known.iter().filter(|name| !name.is_empty()).map(|name| (*name).to_owned()).collect(),
    })
}

/// The answer that begins the WebSocket.
pub(crate) fn answer(headers: &HeaderMap, protocol: &'static str) -> Result<Response<Body>, UpgradeError> {
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(UpgradeError::Handshake)?;
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(UpgradeError::Handshake);
    }
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let out = response.headers_mut();
    out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| UpgradeError::Handshake)?;
    out.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if !protocol.is_empty() {
        out.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    Ok(response)
}

/// The server's side of a WebSocket on a connection that has been upgraded.
pub(crate) async fn open<T>(io: T) -> WebSocketStream<T>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_write_buffer_size(MESSAGE_BYTES_MAX)
        .write_buffer_size(0);
    WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(protocols: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for protocol in protocols {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol).unwrap());
        }
        headers
    }

    #[test]
    fn choice_of_protocol() {
        let known = ["", "v4.channel.k8s.io", "v5.channel.k8s.io"];
        let cases: [(&[&str], Option<&str>); 5] = [
            (&[], Some("")),
            (&["v5.channel.k8s.io"], Some("v5.channel.k8s.io")),
            (&["x, v4.channel.k8s.io, v5.channel.k8s.io"], Some("v4.channel.k8s.io")),
            (&["x", "v5.channel.k8s.io"], Some("v5.channel.k8s.io")),
            (&["x"], None),
        ];
        for (wanted, expected) in cases {
            assert_eq!(choose(&headers(wanted), &known).ok(), expected, "{wanted:?}");
        }
        assert!(choose(&headers(&[]), &known[1..]).is_err());
    }

    #[test]
    fn what_is_a_beginning() {
        let mut headers = HeaderMap::new();
        assert!(!is_wanted(&headers));
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(is_wanted(&headers));
        assert_eq!(answer(&headers, "").unwrap_err(), UpgradeError::Handshake);
        // The example of RFC 6455.
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        let response = answer(&headers, "v4.channel.k8s.io").unwrap();
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
