//! A body that ends at a deadline, whatever its server does.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::message::response::Body as ResponseBody;

pub(super) struct Ending {
    body: ResponseBody,
    deadline: Pin<Box<Sleep>>,
}

impl Ending {
    pub(super) fn new(body: ResponseBody, deadline: Instant) -> Self {
        Self { body, deadline: Box::pin(tokio::time::sleep_until(deadline)) }
    }
}

impl Body for Ending {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_is_ended() {
        let endless = futures::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok(Frame::data(Bytes::from_static(b"x"))), ()))
        });
        let endless = StreamBody::new(crate::message::sync_stream::SyncStream(Box::pin(endless)));
        let deadline = Instant::now() + Duration::from_millis(2500);
        let all = Ending::new(BodyExt::boxed(endless), deadline).collect().await.unwrap().to_bytes();
        assert_eq!((&*all, Instant::now()), (&b"xx"[..], deadline));
    }
}
