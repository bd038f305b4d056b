//! A connection on which the client opens streams.
//!
//! A stream lives until both sides have finished it or one has reset it. What the client sends on a stream waits in a bounded queue;
//! when that is full nothing more is read of the connection, as with client-go's own server. When the client goes, the token of the
//! connection is cancelled; when we drop all streams and the handle, the connection is closed.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frame::{CANCEL, Frame, FrameError, REFUSED_STREAM, decode, encode};
use super::headers::{Deflater, Headers, Inflater};
use crate::session::channel::{INPUT_MESSAGES_MAX, OUTPUT_MESSAGES_MAX, Outgoing, Output};

/// Streams of one connection at once.
const STREAMS_MAX: usize = 1000;
/// Streams that wait to be accepted.
const ACCEPT_MAX: usize = 16;
const READ_BYTES: usize = 32 << 10;
/// How long a client may take to close its side after we have closed ours.
const LINGER: Duration = Duration::from_secs(5);

/// A stream that the client has opened.
#[derive(Debug)]
pub(crate) struct Stream {
    pub headers: Headers,
    pub input: mpsc::Receiver<Bytes>,
    pub output: Output,
}

/// Our side of a connection.
pub(crate) struct Connection {
    pub streams: mpsc::Receiver<Stream>,
    /// Keeps the connection open while there are no streams.
    pub keep: mpsc::Sender<Outgoing>,
    /// Cancelled when the client has gone.
    pub gone: CancellationToken,
}

/// Serves a connection; the future must be polled for anything to happen, and ends with the connection.
pub(crate) fn serve<T>(io: T) -> (Connection, impl Future<Output = ()>)
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let (read_half, write_half) = tokio::io::split(io);
    let (keep, outgoing) = mpsc::channel(OUTPUT_MESSAGES_MAX);
    let (accepted, streams) = mpsc::channel(ACCEPT_MAX);
    let gone = CancellationToken::new();
    let reader = Reader {
        inputs: HashMap::new(),
        accepted,
        // Weak, so that the reader does not keep open what nobody uses any more.
        outgoing: keep.downgrade(),
        last_stream: 0,
    };
    let connection = Connection { streams, keep, gone: gone.clone() };
    let work = async move {
        let read = async {
            if let Err(error) = reader.run(read_half).await {
                tracing::debug!(%error, "a SPDY connection ended early");
            }
            gone.cancel();
        };
        let write = write(write_half, outgoing);
        tokio::pin!(read, write);
        tokio::select! {
            () = &mut read => write.await,
            () = &mut write => {
                // Closing with something unread would take back what the client has not read yet.
                let _ = tokio::time::timeout(LINGER, &mut read).await;
                gone.cancel();
            }
        }
    };
    (connection, work)
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the connection failed")]
    Io(#[source] std::io::Error),
    #[error("the peer's frames cannot be read")]
    Frame(#[source] FrameError),
}

struct Reader {
    /// The streams that the client has not finished; `None` for those that nobody reads.
    inputs: HashMap<u32, mpsc::Sender<Bytes>>,
    accepted: mpsc::Sender<Stream>,
    outgoing: mpsc::WeakSender<Outgoing>,
    last_stream: u32,
}

impl Reader {
    async fn run<T: AsyncRead + Unpin>(mut self, mut from: T) -> Result<(), ReadError> {
        let mut received = BytesMut::with_capacity(READ_BYTES);
        let mut inflater = Inflater::default();
        loop {
            while let Some(frame) = decode(&mut received, &mut inflater).map_err(ReadError::Frame)? {
                if matches!(frame, Frame::GoAway { .. }) {
                    return Ok(());
                }
                self.take(frame).await;
            }
            received.reserve(READ_BYTES);
            if from.read_buf(&mut received).await.map_err(ReadError::Io)? == 0 {
                return Ok(());
            }
        }
    }

    async fn answer(&self, answer: Outgoing) {
        if let Some(outgoing) = self.outgoing.upgrade() {
            let _ = outgoing.send(answer).await;
        }
    }

    async fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Open { stream, headers, last } => self.open(stream, headers, last).await,
            Frame::Data { stream, bytes, last } => {
                if let Some(input) = self.inputs.get(&stream)
                    && !bytes.is_empty()
                {
                    // Whoever does not read any more does not mind.
                    let _ = input.send(bytes).await;
                }
                if last {
                    self.inputs.remove(&stream);
                }
            }
            Frame::Headers { stream, last: true, .. } | Frame::Reset { stream, .. } => {
                self.inputs.remove(&stream);
            }
            // Ours would be even; client-go pings with odd numbers.
            Frame::Ping(id) => self.answer(Outgoing::Pong(id)).await,
            Frame::Reply { .. } | Frame::Headers { .. } | Frame::GoAway { .. } | Frame::Other => {}
        }
    }

    async fn open(&mut self, stream: u32, headers: Headers, last: bool) {
        let Some(messages) = self.outgoing.upgrade() else { return };
        self.inputs.retain(|_, input| !input.is_closed());
        let acceptable = stream % 2 == 1 && stream > self.last_stream && self.inputs.len() < STREAMS_MAX;
        if !acceptable {
            return self.answer(Outgoing::Refuse(stream)).await;
        }
        self.last_stream = stream;
        let (input, inputs) = mpsc::channel(INPUT_MESSAGES_MAX);
        let opened = Stream { headers, input: inputs, output: Output { messages, channel: stream } };
        self.answer(Outgoing::Accept(stream)).await;
        if self.accepted.send(opened).await.is_err() {
            return self.answer(Outgoing::Refuse(stream)).await;
        }
        if !last {
            self.inputs.insert(stream, input);
        }
    }
}

/// Sends what is to be sent, until nobody is left who could send anything.
async fn write<T: AsyncWrite + Unpin>(mut to: T, mut outgoing: mpsc::Receiver<Outgoing>) {
    let mut deflater = Deflater::default();
    let mut wire = BytesMut::new();
    while let Some(message) = outgoing.recv().await {
        let mut next = Some(message);
        // Whatever else waits goes with it.
        while let Some(message) = next {
            if encode(&frame_of(message), &mut wire, &mut deflater).is_err() {
                return;
            }
            next = if wire.len() < READ_BYTES { outgoing.try_recv().ok() } else { None };
        }
        if to.write_all(&wire).await.is_err() || to.flush().await.is_err() {
            return;
        }
        wire.clear();
    }
    if encode(&Frame::GoAway { last_stream: 0 }, &mut wire, &mut deflater).is_ok() {
        let _ = to.write_all(&wire).await;
    }
    let _ = to.shutdown().await;
}

fn frame_of(message: Outgoing) -> Frame {
    match message {
        Outgoing::Data(stream, bytes) => Frame::Data { stream, bytes, last: false },
        Outgoing::Finish(stream) => Frame::Data { stream, bytes: Bytes::new(), last: true },
        Outgoing::Reset(stream) => Frame::Reset { stream, why: CANCEL },
        Outgoing::Accept(stream) => Frame::Reply { stream, headers: Headers::new(), last: false },
        Outgoing::Refuse(stream) => Frame::Reset { stream, why: REFUSED_STREAM },
        Outgoing::Pong(id) => Frame::Ping(id),
    }
}
