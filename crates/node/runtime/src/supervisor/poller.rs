//! Waiting for many descriptors at once (epoll), each with a value that says what it is for.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// Events taken from the kernel at once.
const BATCH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(u64);

/// What to wait for. The peer's end and errors are always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
    ReadWrite,
    PeerOnly,
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Self::Read => EpollFlags::EPOLLIN,
            Self::Write => EpollFlags::EPOLLOUT,
            Self::ReadWrite => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
            Self::PeerOnly => EpollFlags::empty(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    /// The other side is gone.
    pub(crate) hung_up: bool,
}

pub(crate) struct Poller<S> {
    epoll: Epoll,
    sources: HashMap<Token, S>,
    next: u64,
}

impl<S: Copy> Poller<S> {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, sources: HashMap::new(), next: 0 })
    }

    pub(crate) fn add(&mut self, fd: BorrowedFd<'_>, interest: Interest, source: S) -> io::Result<Token> {
        self.next += 1;
        let token = Token(self.next);
        self.epoll.add(fd, EpollEvent::new(interest.flags(), token.0))?;
        self.sources.insert(token, source);
        Ok(token)
    }

    pub(crate) fn set(&self, token: Token, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<()> {
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(interest.flags(), token.0))?)
    }

    /// Must come before the descriptor is closed.
    pub(crate) fn remove(&mut self, token: Token, fd: &impl AsFd) {
        self.sources.remove(&token);
        let _ = self.epoll.delete(fd);
    }

    /// What a token stands for, unless it was removed since the event was taken.
    pub(crate) fn source(&self, token: Token) -> Option<S> {
        self.sources.get(&token).copied()
    }

    /// Waits until something is ready or the time is up.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<(Token, Readiness)>> {
        let mut events = [EpollEvent::empty(); BATCH];
        let timeout = match timeout {
            // Rounded up, so that a deadline has passed when the wait ends.
            Some(timeout) => {
                EpollTimeout::try_from(timeout.saturating_add(Duration::from_millis(1))).unwrap_or(EpollTimeout::MAX)
            }
            None => EpollTimeout::NONE,
        };
        let count = match self.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(events[..count]
            .iter()
            .map(|event| {
                let flags = event.events();
                let readiness = Readiness {
                    readable: flags.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
                    hung_up: flags.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP),
                };
                (Token(event.data()), readiness)
            })
            .collect())
    }
}
