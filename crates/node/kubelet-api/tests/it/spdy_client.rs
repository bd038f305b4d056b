//! The client's side of SPDY.

#[path = "../../src/spdy"]
#[allow(dead_code, reason = "the server uses the rest")]
mod wire {
    pub(crate) mod frame;
    pub(crate) mod headers;
}

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use wire::frame::{decode, encode};
use wire::headers::{Deflater, Inflater};

pub(crate) use wire::frame::Frame;

pub(crate) struct SpdyClient<T> {
    io: T,
    received: BytesMut,
    deflater: Deflater,
    inflater: Inflater,
    next: u32,
    /// What has come on each stream.
    pub(crate) data: BTreeMap<u32, Vec<u8>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> SpdyClient<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            received: BytesMut::new(),
            deflater: Deflater::default(),
            inflater: Inflater::default(),
            next: 1,
            data: BTreeMap::new(),
        }
    }

    async fn send(&mut self, frame: Frame) {
        let mut wire = BytesMut::new();
        encode(&frame, &mut wire, &mut self.deflater).unwrap();
        self.io.write_all(&wire).await.unwrap();
        self.io.flush().await.unwrap();
    }

    pub(crate) async fn open(&mut self, headers: &[(&str, &str)]) -> u32 {
        let stream = self.next;
        self.next += 2;
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.send(Frame::Open { stream, headers, last: false }).await;
        stream
    }

    pub(crate) async fn write(&mut self, stream: u32, bytes: &[u8], last: bool) {
        self.send(Frame::Data { stream, bytes: Bytes::copy_from_slice(bytes), last }).await;
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = decode(&mut self.received, &mut self.inflater).unwrap() {
                if let Frame::Data { stream, bytes, .. } = &frame {
                    self.data.entry(*stream).or_default().extend_from_slice(bytes);
                }
                return Some(frame);
            }
            if self.io.read_buf(&mut self.received).await.unwrap() == 0 {
                return None;
            }
        }
    }

    /// Reads until a stream has brought so many bytes, or the connection ends.
    pub(crate) async fn until(&mut self, stream: u32, bytes: usize) -> Vec<u8> {
        while self.data.get(&stream).map_or(0, Vec::len) < bytes {
            if self.frame().await.is_none() {
                break;
            }
        }
        self.data.get(&stream).cloned().unwrap_or_default()
    }

    pub(crate) async fn read_to_end(&mut self) {
        while self.frame().await.is_some_and(|frame| !matches!(frame, Frame::GoAway { .. })) {}
    }
}
