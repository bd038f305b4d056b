//! What the poller listens to.

use super::log_file::Stream;

/// What a ready descriptor is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    Listener,
    Signals,
    Connection(u64),
    /// The report of a launched child.
    Launch(u64),
    /// A stream of the container with this key.
    Container(u64, Port),
}

/// Which descriptor of a container's streams an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Output(Stream),
    Input,
    ClientOutput(u64, Stream),
    ClientInput(u64),
}
