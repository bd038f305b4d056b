//! Channels in messages: the first byte of a message says which channel it is of, in the base64 protocols as a digit.
//!
//! In version 5 the client can end a channel: channel 255, and then which.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use crate::session::channel::Outgoing;

const CLOSE_CHANNEL: u8 = 255;
/// How long a client may take to close its side after we have closed ours.
const LINGER: Duration = Duration::from_secs(5);

pub(crate) const STDIN: usize = 0;
pub(crate) const STDOUT: u32 = 1;
pub(crate) const STDERR: u32 = 2;
pub(crate) const ERROR: u32 = 3;
pub(crate) const RESIZE: usize = 4;

/// A subprotocol of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Protocol {
    pub name: &'static str,
    pub base64: bool,
    /// The outcome is a Status, not a text.
    pub json_status: bool,
    /// The client can end its channels.
    pub closes: bool,
}

const fn of(name: &'static str, base64: bool, json_status: bool, closes: bool) -> Protocol {
    Protocol { name, base64, json_status, closes }
}

/// Those of exec and attach.
pub(crate) const REMOTE_COMMAND: [Protocol; 7] = [
    of("v5.channel.k8s.io", false, true, true),
    of("v5.base64.channel.k8s.io", true, true, true),
    of("v4.channel.k8s.io", false, true, false),
    of("v4.base64.channel.k8s.io", true, true, false),
    of("channel.k8s.io", false, false, false),
    of("base64.channel.k8s.io", true, false, false),
    of("", false, false, false),
];

/// Those of port-forward.
pub(crate) const PORT_FORWARD: [Protocol; 3] = [
    of("v4.channel.k8s.io", false, false, false),
    of("v4.base64.channel.k8s.io", true, false, false),
    of("", false, false, false),
];

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Data(usize, Bytes),
    /// Nothing more will come on the channel.
    Finished(usize),
    Nothing,
    /// The message is none of the protocol's.
    Malformed,
}

pub(crate) fn read(protocol: Protocol, message: Message) -> Incoming {
    let bytes: Bytes = match message {
        Message::Binary(bytes) => bytes,
        Message::Text(text) => text.into(),
        _ => return Incoming::Nothing,
    };
    let Some((&first, _)) = bytes.split_first() else { return Incoming::Nothing };
    let data = bytes.slice(1..);
    if protocol.base64 {
        let Some(channel) = char::from(first).to_digit(10) else { return Incoming::Malformed };
        return match STANDARD.decode(&data) {
            Ok(data) => Incoming::Data(channel as usize, data.into()),
            Err(_) => Incoming::Malformed,
        };
    }
    match (first, data.first()) {
        (CLOSE_CHANNEL, Some(channel)) if protocol.closes => Incoming::Finished(usize::from(*channel)),
        (CLOSE_CHANNEL, None) if protocol.closes => Incoming::Malformed,
        _ => Incoming::Data(usize::from(first), data),
    }
}

fn write(protocol: Protocol, message: Outgoing) -> Option<Message> {
    let Outgoing::Data(channel, data) = message else { return None };
    let channel = u8::try_from(channel).ok()?;
    if protocol.base64 {
        let text = format!("{}{}", channel % 10, STANDARD.encode(&data));
        return Some(Message::Text(text.into()));
    }
    let mut bytes = BytesMut::with_capacity(data.len() + 1);
    bytes.put_u8(channel);
    bytes.extend_from_slice(&data);
    Some(Message::Binary(bytes.freeze()))
}

/// Carries channels until the client goes or nobody is left who could send anything. `inputs` are the channels that the client may
/// send on, by their number.
pub(crate) async fn serve<T>(
    socket: WebSocketStream<T>,
    protocol: Protocol,
    inputs: Vec<Option<mpsc::Sender<Bytes>>>,
    outgoing: mpsc::Receiver<Outgoing>,
    gone: CancellationToken,
) where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (sink, stream) = socket.split();
    let receive = async {
        receive(stream, protocol, inputs).await;
        gone.cancel();
    };
    let send = send(sink, protocol, outgoing);
    tokio::pin!(receive, send);
    tokio::select! {
        () = &mut receive => send.await,
        () = &mut send => {
            // Closing with something unread would take back what the client has not read yet.
            let _ = tokio::time::timeout(LINGER, &mut receive).await;
            gone.cancel();
        }
    }
}

async fn receive(
    mut stream: impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    protocol: Protocol,
    mut inputs: Vec<Option<mpsc::Sender<Bytes>>>,
) {
    while let Some(Ok(message)) = stream.next().await {
        if matches!(message, Message::Close(_)) {
            return;
        }
        match read(protocol, message) {
            Incoming::Data(channel, data) => {
                // What is sent on a channel that was not asked for is for nobody.
                if let Some(Some(input)) = inputs.get(channel)
                    && !data.is_empty()
                {
                    let _ = input.send(data).await;
                }
            }
            Incoming::Finished(channel) => {
                if let Some(input) = inputs.get_mut(channel) {
                    *input = None;
                }
            }
            Incoming::Nothing => {}
            Incoming::Malformed => return,
        }
    }
}

async fn send(
    mut sink: impl Sink<Message, Error = tungstenite::Error> + Unpin,
    protocol: Protocol,
    mut outgoing: mpsc::Receiver<Outgoing>,
) {
    while let Some(message) = outgoing.recv().await {
        let Some(message) = write(protocol, message) else { continue };
        if sink.send(message).await.is_err() {
            return;
        }
    }
    let bye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let _ = sink.send(Message::Close(Some(bye))).await;
    let _ = sink.close().await;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn protocol(name: &str) -> Protocol {
        REMOTE_COMMAND.into_iter().find(|protocol| protocol.name == name).unwrap()
    }

    #[test]
    fn messages() {
        let binary = |bytes: &'static [u8]| Message::Binary(Bytes::from_static(bytes));
        let data = |channel, bytes: &'static [u8]| Incoming::Data(channel, Bytes::from_static(bytes));
        let cases = [
            ("v5.channel.k8s.io", binary(b"\0hello"), data(0, b"hello")),
            ("v5.channel.k8s.io", binary(b"\xff\0"), Incoming::Finished(0)),
            ("v5.channel.k8s.io", binary(b"\xff"), Incoming::Malformed),
            ("v4.channel.k8s.io", binary(b"\xff\0"), data(255, b"\0")),
            ("v4.channel.k8s.io", binary(b""), Incoming::Nothing),
            ("v4.base64.channel.k8s.io", Message::text("0aGVsbG8="), data(0, b"hello")),
            ("v4.base64.channel.k8s.io", Message::text("xaGVsbG8="), Incoming::Malformed),
            ("v4.base64.channel.k8s.io", Message::text("0!"), Incoming::Malformed),
            ("", Message::Ping(Bytes::new()), Incoming::Nothing),
        ];
        for (name, message, expected) in cases {
            assert_eq!(read(protocol(name), message.clone()), expected, "{name} {message:?}");
        }
        let hello = || Outgoing::Data(1, Bytes::from_static(b"hello"));
        assert_eq!(write(protocol(""), hello()), Some(binary(b"\x01hello")));
        assert_eq!(write(protocol("base64.channel.k8s.io"), hello()), Some(Message::text("1aGVsbG8=")));
        assert_eq!(write(protocol(""), Outgoing::Finish(1)), None);
    }

    proptest! {
        #[test]
        fn any_message_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..50), which in 0_usize..7) {
            let _ = read(REMOTE_COMMAND[which], Message::Binary(bytes.into()));
        }
    }
}
