//! Frames on the wire.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::headers::{Deflater, HeaderError, Headers, Inflater};

const VERSION: u16 = 3;
const HEAD_BYTES: usize = 8;
/// Larger frames are refused; client-go's are of 32 KiB.
const FRAME_BYTES_MAX: usize = 4 << 20;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

const FLAG_FIN: u8 = 1;

/// Why a stream is reset.
pub(crate) const REFUSED_STREAM: u32 = 3;
pub(crate) const CANCEL: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the peer does not speak SPDY/3")]
    Version,
    #[error("a frame is larger than 4 MiB")]
    TooLarge,
    #[error("a frame is too short for its kind")]
    Truncated,
    #[error("headers cannot be read")]
    Headers(#[source] HeaderError),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Open {
        stream: u32,
        headers: Headers,
        last: bool,
    },
    Reply {
        stream: u32,
        headers: Headers,
        last: bool,
    },
    Headers {
        stream: u32,
        headers: Headers,
        last: bool,
    },
    Reset {
        stream: u32,
        why: u32,
    },
    Ping(u32),
    GoAway {
        last_stream: u32,
    },
    Data {
        stream: u32,
        bytes: Bytes,
        last: bool,
    },
    /// Settings, credits and whatever else there may be.
    Other,
}

/// Takes the next frame out of what has been received; `None` when more must come first.
pub(crate) fn decode(received: &mut BytesMut, inflater: &mut Inflater) -> Result<Option<Frame>, FrameError> {
    let Some(head) = received.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
    let (flags, length) = (head[4], u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize);
    let is_control = first >> 31 == 1;
    if is_control && (first >> 16) & 0x7fff != u32::from(VERSION) {
        return Err(FrameError::Version);
    }
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge);
    }
    if received.len() < HEAD_BYTES + length {
        return Ok(None);
    }
    received.advance(HEAD_BYTES);
    let body = received.split_to(length).freeze();
    let last = flags & FLAG_FIN != 0;
    if !is_control {
        return Ok(Some(Frame::Data { stream: first & 0x7fff_ffff, bytes: body, last }));
    }
    let kind = (first & 0xffff) as u16;
    control(kind, body, last, inflater).map(Some)
}

fn control(kind: u16, mut body: Bytes, last: bool, inflater: &mut Inflater) -> Result<Frame, FrameError> {
    let number = |body: &mut Bytes| {
        let enough = body.len() >= 4;
        enough.then(|| body.get_u32()).ok_or(FrameError::Truncated)
    };
    Ok(match kind {
        SYN_STREAM => {
            let stream = number(&mut body)? & 0x7fff_ffff;
            number(&mut body)?;
            // Priority and credential slot.
            if body.len() < 2 {
                return Err(FrameError::Truncated);
            }
            body.advance(2);
            Frame::Open { stream, headers: inflater.read(&body).map_err(FrameError::Headers)?, last }
        }
        SYN_REPLY | HEADERS => {
            let stream = number(&mut body)? & 0x7fff_ffff;
            let headers = inflater.read(&body).map_err(FrameError::Headers)?;
            if kind == SYN_REPLY {
                Frame::Reply { stream, headers, last }
            } else {
                Frame::Headers { stream, headers, last }
            }
        }
        RST_STREAM => Frame::Reset { stream: number(&mut body)? & 0x7fff_ffff, why: number(&mut body)? },
        PING => Frame::Ping(number(&mut body)?),
        GOAWAY => Frame::GoAway { last_stream: number(&mut body)? & 0x7fff_ffff },
        _ => Frame::Other,
    })
}

/// Appends a frame to what is to be sent.
pub(crate) fn encode(frame: &Frame, out: &mut BytesMut, deflater: &mut Deflater) -> Result<(), FrameError> {
    let mut body = BytesMut::new();
    let (kind, last) = match frame {
        Frame::Data { stream, bytes, last } => {
            head(out, stream & 0x7fff_ffff, *last, bytes.len())?;
            out.extend_from_slice(bytes);
            return Ok(());
        }
        Frame::Open { stream, headers, last } => {
            body.put_u32(*stream);
            body.put_u32(0);
            body.put_u16(0);
            body.extend_from_slice(&deflater.write(headers).map_err(FrameError::Headers)?);
            (SYN_STREAM, *last)
        }
        Frame::Reply { stream, headers, last } | Frame::Headers { stream, headers, last } => {
            body.put_u32(*stream);
            body.extend_from_slice(&deflater.write(headers).map_err(FrameError::Headers)?);
            (if matches!(frame, Frame::Reply { .. }) { SYN_REPLY } else { HEADERS }, *last)
        }
        Frame::Reset { stream, why } => {
            body.put_u32(*stream);
            body.put_u32(*why);
            (RST_STREAM, false)
        }
        Frame::Ping(id) => {
            body.put_u32(*id);
            (PING, false)
        }
        Frame::GoAway { last_stream } => {
            body.put_u32(*last_stream);
            body.put_u32(0);
            (GOAWAY, false)
        }
        Frame::Other => return Ok(()),
    };
    head(out, 1 << 31 | u32::from(VERSION) << 16 | u32::from(kind), last, body.len())?;
    out.extend_from_slice(&body);
    Ok(())
}

fn head(out: &mut BytesMut, first: u32, last: bool, length: usize) -> Result<(), FrameError> {
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLarge);
    }
    out.put_u32(first);
    out.put_u8(if last { FLAG_FIN } else { 0 });
    out.put_uint(length as u64, 3);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_back() {
        let headers: Headers = [("port".to_owned(), "80".to_owned())].into();
        let frames = [
            Frame::Open { stream: 1, headers: headers.clone(), last: false },
            Frame::Reply { stream: 1, headers: Headers::new(), last: false },
            Frame::Headers { stream: 1, headers, last: true },
            Frame::Data { stream: 1, bytes: Bytes::from_static(b"hello"), last: false },
            Frame::Data { stream: 3, bytes: Bytes::new(), last: true },
            Frame::Reset { stream: 3, why: CANCEL },
            Frame::Ping(7),
            Frame::GoAway { last_stream: 3 },
        ];
        let (mut wire, mut deflater, mut inflater) = (BytesMut::new(), Deflater::default(), Inflater::default());
        for frame in &frames {
            encode(frame, &mut wire, &mut deflater).unwrap();
        }
        // As they would come: a byte at a time.
        let mut received = BytesMut::new();
        let mut back = Vec::new();
        for byte in wire {
            received.put_u8(byte);
            back.extend(decode(&mut received, &mut inflater).unwrap());
        }
        assert_eq!(back, frames);
    }

    #[test]
    fn bounds() {
        let decode = |bytes: &[u8]| decode(&mut BytesMut::from(bytes), &mut Inflater::default());
        assert_eq!(decode(&[0x80, 2, 0, 1, 0, 0, 0, 0]), Err(FrameError::Version));
        assert_eq!(decode(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]), Err(FrameError::TooLarge));
        assert_eq!(decode(&[0x80, 3, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1]), Err(FrameError::Truncated));
        assert_eq!(decode(&[0x80, 3, 0, 1, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0]), Err(FrameError::Truncated));
        assert_eq!(decode(&[0x80, 3, 0, 4, 0, 0, 0, 0]), Ok(Some(Frame::Other)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut received = BytesMut::from(bytes.as_slice());
            let mut inflater = Inflater::default();
            while let Ok(Some(_)) = decode(&mut received, &mut inflater) {}
        }

        #[test]
        fn control_garbage_never_panics(kind in 0_u16..10, body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = control(kind, Bytes::from(body), false, &mut Inflater::default());
        }
    }
}
