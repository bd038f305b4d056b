//! What holds of anything that a client sends. Only the fuzzer and the replay of its corpus call it.

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use http::Method;
use windlass_api::Timestamp;

use crate::logs::LogOptions;
use crate::query::Query;
use crate::route;
use crate::spdy::frame::{self, Frame};
use crate::spdy::headers::{Deflater, Inflater};
use crate::websocket::channels::{self, Incoming, PORT_FORWARD, REMOTE_COMMAND};
use crate::websocket::upgrade;

/// Reads a path with a query.
pub fn request(target: &str) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let _ = route::find(&method, path);
    }
    let _ = LogOptions::parse(&Query::parse(query), Timestamp::UNIX_EPOCH);
}

/// Reads frames of one direction of a connection, and panics when one that is written again is another.
pub fn spdy(received: &[u8]) {
    let mut received = BytesMut::from(received);
    let mut inflater = Inflater::default();
    let (mut deflater, mut again) = (Deflater::default(), Inflater::default());
    while let Ok(Some(frame)) = frame::decode(&mut received, &mut inflater) {
        if frame == Frame::Other {
            continue;
        }
        let mut written = BytesMut::new();
        frame::encode(&frame, &mut written, &mut deflater).expect("a frame that was read is written");
        let read = frame::decode(&mut written, &mut again).expect("a frame that was written is read");
        assert_eq!((read, written.len()), (Some(frame), 0));
    }
}

/// Reads what a client sends after it has been upgraded to a WebSocket, in each of the subprotocols.
pub fn websocket(received: &[u8]) {
    // All of it is there, so nothing ever waits.
    let io = tokio::io::join(received, tokio::io::sink());
    let mut socket = upgrade::open(io).now_or_never().expect("no handshake is left to be done");
    while let Some(Some(Ok(message))) = socket.next().now_or_never() {
        for protocol in REMOTE_COMMAND.into_iter().chain(PORT_FORWARD) {
            let read = channels::read(protocol, message.clone());
            let bytes: Bytes = message.clone().into_data();
            if let Incoming::Data(_, data) = read {
                assert!(data.len() < bytes.len(), "a message carries its channel and data");
            }
        }
    }
}
