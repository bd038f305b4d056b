//! Ends of pipes and terminals as asynchronous streams.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe;
use windlass_cri::{Reader, Result, TerminalSize, Writer};

use crate::error::During;
use crate::supervisor::set_window;
use crate::sys::message;

/// What a terminal's line discipline takes for the end of input.
const END_OF_TRANSMISSION: u8 = 4;

/// A pipe into a process: our writer, its reader.
pub(crate) fn pipe_to_process() -> Result<(Writer, OwnedFd)> {
    let (reader, writer) = message::pipe().internal("make a pipe")?;
    let writer = pipe::Sender::from_owned_fd(writer).internal("prepare a pipe")?;
    Ok((Box::pin(writer), reader))
}

/// A pipe out of a process: our reader, its writer.
pub(crate) fn pipe_from_process() -> Result<(Reader, OwnedFd)> {
    let (reader, writer) = message::pipe().internal("make a pipe")?;
    let reader = pipe::Receiver::from_owned_fd(reader).internal("prepare a pipe")?;
    Ok((Box::pin(reader), writer))
}

/// What a process gets for a stream that nobody wants.
pub(crate) fn nothing() -> Result<OwnedFd> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
    null.map(OwnedFd::from).internal("open /dev/null")
}

/// The master of a terminal.
#[derive(Clone)]
pub(crate) struct Terminal(Arc<AsyncFd<OwnedFd>>);

impl Terminal {
    pub(crate) fn new(master: OwnedFd) -> Result<Self> {
        let prepare = || {
            message::set_nonblocking(std::os::fd::AsFd::as_fd(&master))?;
            // SAFETY: an OwnedFd is open and the same for as long as it lives, and it lives in what is made here.
            unsafe { AsyncFd::register(master) }.map_err(io::Error::from)
        };
        prepare().map(Arc::new).map(Self).internal("prepare the terminal")
    }

    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        set_window(self.0.get_ref(), size.width, size.height)
    }

    fn poll_write_some(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.0.poll_write_ready(cx))?;
            match guard.try_io(|fd| nix::unistd::write(fd, data).map_err(io::Error::from)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncRead for Terminal {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let free = buffer.initialize_unfilled();
            match guard.try_io(|fd| nix::unistd::read(fd.as_raw_fd(), free).map_err(io::Error::from)) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // Nobody has the other end open any more.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_some(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A terminal has one descriptor for both directions: the end of input is a character.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_some(cx, &[END_OF_TRANSMISSION]))?;
        Poll::Ready(Ok(()))
    }
}
