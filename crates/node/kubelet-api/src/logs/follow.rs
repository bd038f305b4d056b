//! Waits until something happens in a directory, that of a log or of a configuration: a file is written, made or renamed.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What happens in a directory.
pub struct Changes(AsyncFd<OwnedInotify>);

/// The descriptor in the form that tokio wants.
struct OwnedInotify(Inotify);

impl std::os::fd::AsRawFd for OwnedInotify {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsFd::as_fd(&self.0).as_raw_fd()
    }
}

impl Changes {
    /// Notes what happens from now on.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let what = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE_SELF;
        inotify.add_watch(directory, what)?;
        // SAFETY: the descriptor is owned by what is registered, is never exchanged, and is closed only when that is dropped.
        let registered = unsafe { AsyncFd::register_with_interest(OwnedInotify(inotify), Interest::READABLE) };
        registered.map(Self).map_err(io::Error::from)
    }

    /// Waits for something that was not waited for yet.
    pub async fn wait(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let mut seen = false;
            // Everything that has happened is one change.
            loop {
                match ready.get_inner().0.read_events() {
                    Ok(events) => seen |= !events.is_empty(),
                    Err(Errno::EAGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if seen {
                return Ok(());
            }
        }
    }
}
