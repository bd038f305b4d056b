//! The channels of a client.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages of a channel that wait to be read by us.
pub(crate) const INPUT_MESSAGES_MAX: usize = 8;
/// Messages that wait to be sent, of all channels of a connection.
pub(crate) const OUTPUT_MESSAGES_MAX: usize = 16;

/// The client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Something to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Data(u32, Bytes),
    /// Nothing more will come on this channel.
    Finish(u32),
    /// The channel has failed.
    Reset(u32),
    /// The channel that the client has opened is accepted (SPDY).
    Accept(u32),
    /// The channel that the client has opened is not wanted (SPDY).
    Refuse(u32),
    /// An answer to a ping of the protocol itself (SPDY).
    Pong(u32),
}

/// One channel to the client. The connection is closed when all of its channels have been dropped.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub messages: mpsc::Sender<Outgoing>,
    pub channel: u32,
}

impl Output {
    pub(crate) async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        self.messages.send(Outgoing::Data(self.channel, bytes)).await.map_err(|_| Gone)
    }

    pub(crate) async fn finish(&self) {
        // If the client has gone, nothing is left to be finished.
        let _ = self.messages.send(Outgoing::Finish(self.channel)).await;
    }

    pub(crate) async fn reset(&self) {
        let _ = self.messages.send(Outgoing::Reset(self.channel)).await;
    }
}

/// The channels of an exec or attach.
pub(crate) struct RemoteClient {
    pub stdin: Option<mpsc::Receiver<Bytes>>,
    pub stdout: Option<Output>,
    pub stderr: Option<Output>,
    /// Sizes of the client's terminal, as JSON.
    pub resize: Option<mpsc::Receiver<Bytes>>,
    pub error: Output,
    /// Where an empty message tells the client that the session stands, in protocols that say so. It is sent when the process runs:
    /// kubectl before 1.34 may drop what comes while it still makes its channels ready.
    pub hello: Option<Output>,
    /// Whether the outcome is told as a Status; older protocols get a text, and only of failures.
    pub status_as_json: bool,
    /// Cancelled when the connection has ended.
    pub gone: CancellationToken,
}
