//! A byte stream in a WebSocket: kubectl's port-forward speaks SPDY through it. Where messages begin and end means nothing.

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const PIPE_BYTES: usize = 64 << 10;
const CHUNK_BYTES: usize = 32 << 10;

/// The subprotocol under which a client asks for a SPDY connection in a WebSocket.
pub(crate) const PORT_FORWARD_PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";

/// The byte stream, and the future that carries it; the latter ends when either side has.
pub(crate) fn open<T>(socket: WebSocketStream<T>) -> (DuplexStream, impl Future<Output = ()>)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    let (mut from_pipe, mut to_pipe) = tokio::io::split(theirs);
    let (mut sink, mut stream) = socket.split();
    let work = async move {
        let receive = async {
            while let Some(Ok(message)) = stream.next().await {
                let bytes: Bytes = match message {
                    Message::Binary(bytes) => bytes,
                    Message::Text(text) => text.into(),
                    Message::Close(_) => break,
                    _ => continue,
                };
                if to_pipe.write_all(&bytes).await.is_err() {
                    break;
                }
            }
            let _ = to_pipe.shutdown().await;
        };
        let send = async {
            let mut chunk = BytesMut::new();
            loop {
                chunk.reserve(CHUNK_BYTES);
                match from_pipe.read_buf(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {
                        if sink.send(Message::Binary(chunk.split().freeze())).await.is_err() {
                            return;
                        }
                    }
                }
            }
            let _ = sink.close().await;
        };
        tokio::pin!(receive, send);
        tokio::select! {
            () = &mut receive => send.await,
            () = &mut send => {}
        }
    };
    (ours, work)
}
