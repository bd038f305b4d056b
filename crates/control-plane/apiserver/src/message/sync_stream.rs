//! Streams as bodies, which hyper wants to be `Sync`.

/// A stream that is only ever polled by the one task that owns the response.
pub(crate) struct SyncStream<S>(pub S);

// SAFETY: `Stream`'s one method takes `Pin<&mut Self>`, so a shared reference to the stream cannot be used for anything.
unsafe impl<S> Sync for SyncStream<S> {}

impl<S: futures::Stream + Unpin> futures::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        std::pin::Pin::new(&mut self.0).poll_next(context)
    }
}
