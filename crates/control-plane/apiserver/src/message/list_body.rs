//! A collection as JSON, written as the client takes it: besides the objects, which the store holds anyway, there is never more of it in
//! memory than a chunk.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use windlass_machinery::json::{len_with_type_meta, push_with_type_meta};
use windlass_store::Item;

const CHUNK_BYTES: usize = 128 << 10;
const TAIL: &[u8] = b"]}";

/// `head`, the objects' stored text with commas between, and the brackets that end the list.
pub(crate) struct ListBody {
    head: Vec<u8>,
    /// `{"kind":…,"apiVersion":…` for each item; empty when the list alone says what it is.
    prefix: Vec<u8>,
    items: std::vec::IntoIter<Arc<Item>>,
    /// Bytes that are still to come.
    left: usize,
}

impl ListBody {
    /// `head` goes up to the bracket that begins the items.
    pub(crate) fn new(head: Vec<u8>, prefix: &[u8], items: Vec<Arc<Item>>) -> Self {
        let text: usize = items.iter().map(|item| written_len(prefix, &item.value)).sum();
        let left = head.len() + text + items.len().saturating_sub(1) + TAIL.len();
        Self { head, prefix: prefix.to_vec(), items: items.into_iter(), left }
    }

    fn chunk(&mut self) -> Vec<u8> {
        let next = self.items.as_slice().first().map_or(0, |item| item.value.len());
        let mut chunk = Vec::with_capacity(self.left.min(CHUNK_BYTES + next));
        chunk.append(&mut self.head);
        while chunk.len() < CHUNK_BYTES
            && let Some(item) = self.items.next()
        {
            match self.prefix.as_slice() {
                b"" => chunk.extend_from_slice(&item.value),
                prefix => push_with_type_meta(&mut chunk, prefix, &item.value),
            }
            chunk.extend_from_slice(if self.items.len() == 0 { b"" } else { b"," });
        }
        if self.items.len() == 0 {
            chunk.extend_from_slice(TAIL);
        }
        self.left = self.left.saturating_sub(chunk.len());
        chunk
    }
}

/// How many bytes an item takes, with its type in front where there is a prefix.
fn written_len(prefix: &[u8], item: &[u8]) -> usize {
    if prefix.is_empty() { item.len() } else { len_with_type_meta(prefix, item) }
}

impl Body for ListBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Ready((self.left > 0).then(|| Ok(Frame::data(self.chunk().into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}
