//! Bodies that strangers send: bounded in size, and read until a deadline.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("limit is {0}")]
    TooLarge(usize),
    /// The deadline passed before its end came.
    #[error("context deadline exceeded")]
    Deadline,
    /// There was no room to keep what has come until the rest comes.
    #[error("too many bodies are on their way")]
    NoRoom,
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// What is taken of a body that nobody wants, and for how long.
const DISCARDED_BYTES_MAX: usize = 64 << 10;
const DISCARDED_WITHIN: Duration = Duration::from_millis(500);

/// Whether a body says beforehand that it is one to be discarded rather than to end the connection for.
pub fn is_short(body: &Incoming) -> bool {
    body.size_hint().exact().is_some_and(|bytes| bytes <= DISCARDED_BYTES_MAX as u64)
}

/// Lets a body come that nobody wants, within bounds: where it is dropped, HTTP/2 breaks its stream off, and some clients never see the
/// answer.
pub async fn discard(mut body: Incoming) {
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    // A client that is slower than that is as well off without an answer.
    let _ = tokio::time::timeout(DISCARDED_WITHIN, all).await;
}

/// Reads a body of at most `bytes_max`. One that says beforehand that it is longer is refused without being read.
///
/// `take_room` is asked for the bytes of each part that is kept until the next comes. A body that comes in one part, as most do, is neither
/// copied nor counted.
pub async fn read(
    mut body: Incoming,
    bytes_max: usize,
    deadline: Instant,
    mut take_room: impl FnMut(usize) -> bool,
) -> Result<Bytes, BodyError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge(bytes_max));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = timeout_at(deadline, body.frame()).await.map_err(|_| BodyError::Deadline)? {
        // What is no data are trailers, which nobody asked for.
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        if !take_room(data.len()) {
            return Err(BodyError::NoRoom);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
