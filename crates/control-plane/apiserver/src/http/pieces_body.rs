//! A long list, encoded as the client takes it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use windlass_store::Item;

use crate::list_pieces::ListPieces;

/// About as much is encoded at once.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) struct PiecesBody {
    pieces: ListPieces,
    items: std::vec::IntoIter<Arc<Item>>,
    is_over: bool,
}

impl PiecesBody {
    pub(super) fn new(pieces: ListPieces, items: Vec<Arc<Item>>) -> Self {
        Self { pieces, items: items.into_iter(), is_over: false }
    }

    fn chunk(&mut self) -> Vec<u8> {
        let mut chunk = std::mem::take(&mut self.pieces.head);
        while chunk.len() < CHUNK_BYTES {
            let Some(item) = self.items.next() else {
                chunk.append(&mut self.pieces.tail);
                self.is_over = true;
                break;
            };
            match (self.pieces.encode)(&item) {
                Ok(encoded) => chunk.extend_from_slice(&encoded),
                Err(status) => {
                    // The head has been sent: all that can be done is that nobody takes this for a whole list.
                    tracing::error!(key = %item.key, error = status.message, "a list ends early");
                    self.is_over = true;
                    break;
                }
            }
            if self.items.len() > 0 {
                chunk.extend_from_slice(self.pieces.separator);
            }
        }
        chunk
    }
}

impl Body for PiecesBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready((!self.is_over).then(|| Ok(Frame::data(self.chunk().into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}
