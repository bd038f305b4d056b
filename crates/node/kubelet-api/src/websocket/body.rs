//! An answer's body as the messages of a WebSocket, for clients that read logs in a browser.

use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::Message;

use super::upgrade::{self, UpgradeError};
use crate::respond::{Body, text};

/// Subprotocols: bytes as they are, and for those who can only read text, in base64.
const BINARY: &str = "binary.k8s.io";
const BASE64: &str = "base64.binary.k8s.io";

/// Sends the body of a good answer as messages, one for each chunk; what is no good answer stays what it is.
pub(crate) fn over_websocket(headers: &HeaderMap, upgraded: OnUpgrade, answer: Response<Body>) -> Response<Body> {
    if answer.status() != StatusCode::OK {
        return answer;
    }
    let protocol = upgrade::choose(headers, &["", BINARY, BASE64]);
    let begun = protocol.and_then(|protocol| Ok((protocol, upgrade::answer(headers, protocol)?)));
    let (protocol, response) = match begun {
        Ok(begun) => begun,
        Err(error @ (UpgradeError::Handshake | UpgradeError::Protocol { .. })) => {
            return text(StatusCode::BAD_REQUEST, format!("unable to upgrade websocket connection: {error}"));
        }
    };
    let mut chunks = answer.into_body().into_data_stream();
    tokio::spawn(async move {
        let io = match upgraded.await {
            Ok(io) => io,
            Err(error) => return tracing::debug!(%error, "a connection was not upgraded"),
        };
        let (mut sink, mut incoming) = upgrade::open(TokioIo::new(io)).await.split();
        let send = async {
            while let Some(Ok(chunk)) = chunks.next().await {
                let message = if protocol == BASE64 { Message::text(base64(&chunk)) } else { Message::binary(chunk) };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            let _ = sink.close().await;
        };
        // Clients have nothing to say; when they go, so does this.
        let gone = async { while let Some(Ok(_)) = incoming.next().await {} };
        tokio::select! {
            () = send => {}
            () = gone => {}
        }
    });
    response
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
