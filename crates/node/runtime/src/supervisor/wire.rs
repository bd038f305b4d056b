//! Frames on a stream socket: four bytes of length (little endian), one byte that counts descriptors, the payload. Both sides
//! use it, on sockets that never block.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::sys::message;

/// Longest payload. A launch is a few tens of kilobytes; its arguments and environment may be two megabytes.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 20;
/// What may wait for a peer that does not read.
const OUTBOX_BYTES_MAX: usize = 32 << 20;
const HEADER_BYTES: usize = 5;

#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the peer announced a frame of {0} bytes, more than {PAYLOAD_BYTES_MAX}")]
    TooLong(usize),
    #[error("a frame announced {wanted} descriptors, but {present} came with it")]
    Descriptors { wanted: usize, present: usize },
    #[error("the peer does not read: {0} bytes are waiting for it")]
    Unread(usize),
    #[error("the socket failed")]
    Socket(#[source] io::Error),
}

/// One message as it came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) payload: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// Bytes that have arrived and are not yet a whole frame.
#[derive(Default)]
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Reads what is there. False when the peer has closed.
    pub(crate) fn fill(&mut self, socket: BorrowedFd<'_>) -> Result<bool, WireError> {
        let mut chunk = [0u8; 64 << 10];
        let mut fds = Vec::new();
        loop {
            match message::receive(socket, &mut chunk, &mut fds) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    self.buffer.extend_from_slice(&chunk[..length]);
                    self.fds.extend(fds.drain(..));
                    // Frames are taken out between fills, so what is buffered stays within two of them.
                    if length < chunk.len() || self.buffer.len() > PAYLOAD_BYTES_MAX {
                        return Ok(true);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ECONNRESET) => return Ok(false),
                Err(error) => return Err(WireError::Socket(error)),
            }
        }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Frame>, WireError> {
        let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [a, b, c, d, count] = *header;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(WireError::TooLong(length));
        }
        let end = HEADER_BYTES + length;
        if self.buffer.len() < end {
            return Ok(None);
        }
        // Descriptors travel with the first byte of their frame, so they are here.
        let wanted = usize::from(count);
        if self.fds.len() < wanted {
            return Err(WireError::Descriptors { wanted, present: self.fds.len() });
        }
        let payload = self.buffer[HEADER_BYTES..end].to_vec();
        self.buffer.drain(..end);
        Ok(Some(Frame { payload, fds: self.fds.drain(..wanted).collect() }))
    }
}

struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    fds: Vec<OwnedFd>,
}

/// Frames that wait until the peer reads.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Outgoing>,
    waiting_bytes: usize,
}

impl Outbox {
    pub(crate) fn push(&mut self, payload: &[u8], fds: Vec<OwnedFd>) -> Result<(), WireError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(WireError::TooLong(payload.len()));
        }
        if self.waiting_bytes > OUTBOX_BYTES_MAX {
            return Err(WireError::Unread(self.waiting_bytes));
        }
        let count = u8::try_from(fds.len()).ok().filter(|_| fds.len() <= message::DESCRIPTORS_MAX);
        let Some(count) = count else {
            return Err(WireError::Descriptors { wanted: fds.len(), present: message::DESCRIPTORS_MAX });
        };
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.push(count);
        bytes.extend_from_slice(payload);
        self.waiting_bytes += bytes.len();
        self.queue.push_back(Outgoing { bytes, sent: 0, fds });
        Ok(())
    }

    /// Sends what the socket takes. True when nothing is left.
    pub(crate) fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<bool, WireError> {
        while let Some(frame) = self.queue.front_mut() {
            let raw: Vec<i32> = frame.fds.iter().map(AsRawFd::as_raw_fd).collect();
            match message::send(socket, &frame.bytes[frame.sent..], &raw) {
                Ok(count) => {
                    frame.fds.clear();
                    frame.sent += count;
                    self.waiting_bytes -= count;
                    if frame.sent == frame.bytes.len() {
                        self.queue.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(WireError::Socket(error)),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (left, right) = UnixStream::pair().unwrap();
        left.set_nonblocking(true).unwrap();
        right.set_nonblocking(true).unwrap();
        (left, right)
    }

    #[test]
    fn frames_keep_their_descriptors_whatever_the_chunks() {
        let (left, right) = pair();
        let mut outbox = Outbox::default();
        let sizes = [0usize, 3, 300_000, 1, 70_000];
        for (index, size) in sizes.iter().enumerate() {
            let fds = (0..index % 3).map(|_| message::pipe().unwrap().0).collect();
            outbox.push(&vec![index as u8; *size], fds).unwrap();
        }
        let mut inbox = Inbox::default();
        let mut received = Vec::new();
        while received.len() < sizes.len() {
            outbox.flush(left.as_fd()).unwrap();
            assert!(inbox.fill(right.as_fd()).unwrap());
            while let Some(frame) = inbox.next().unwrap() {
                received.push(frame);
            }
        }
        for (index, frame) in received.iter().enumerate() {
            assert_eq!(frame.payload, vec![index as u8; sizes[index]]);
            assert_eq!(frame.fds.len(), index % 3);
        }
        drop(left);
        assert!(!inbox.fill(right.as_fd()).unwrap());
    }

    #[test]
    fn what_a_stranger_announces_is_bounded() {
        let mut inbox = Inbox { buffer: vec![0xff, 0xff, 0xff, 0x7f, 0], ..Inbox::default() };
        assert!(matches!(inbox.next(), Err(WireError::TooLong(_))));
        let mut inbox = Inbox { buffer: vec![0, 0, 0, 0, 2], ..Inbox::default() };
        assert!(matches!(inbox.next(), Err(WireError::Descriptors { wanted: 2, present: 0 })));
    }

    #[test]
    fn a_peer_that_does_not_read_is_noticed() {
        let mut outbox = Outbox::default();
        let payload = vec![0; 8 << 20];
        let error = (0..10).find_map(|_| outbox.push(&payload, Vec::new()).err()).unwrap();
        assert!(matches!(error, WireError::Unread(_)));
    }
}
