//! A long list, encoded as the client takes it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, StreamBody};
use windlass_store::Item;

use super::computing::Computing;
use super::sync_stream::SyncStream;
use crate::list_pieces::ListPieces;

/// About as much is encoded at once.
const CHUNK_BYTES: usize = 64 << 10;

struct Sent {
    pieces: ListPieces,
    items: std::vec::IntoIter<Arc<Item>>,
    is_over: bool,
}

/// A user's lists are encoded a few at a time: who asks for many of them waits for himself.
pub(crate) fn pieces_body(
    pieces: ListPieces,
    items: Vec<Arc<Item>>,
    computing: Arc<Computing>,
    user: String,
) -> BoxBody<Bytes, Infallible> {
    let sent = Sent { pieces, items: items.into_iter(), is_over: false };
    let frames = stream::unfold((sent, computing, user), |(mut sent, computing, user)| async move {
        if sent.is_over {
            return None;
        }
        let turn = computing.turn(&user).await;
        let chunk = sent.chunk();
        drop(turn);
        Some((Ok::<_, Infallible>(Frame::data(chunk.into())), (sent, computing, user)))
    });
    BodyExt::boxed(StreamBody::new(SyncStream(Box::pin(frames))))
}

impl Sent {
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
