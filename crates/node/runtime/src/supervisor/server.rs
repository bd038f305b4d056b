//! What all of the supervisor works with: its children, and its connections to daemons.
//!
//! `event_loop` is what happens, `requests` answers daemons, `children` makes and reaps processes, `streams` moves their bytes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use nix::sys::signalfd::SignalFd;
use windlass_api::text::with_causes;
use windlass_api::time::Clock;

use super::child::{Asker, Container, Exec, Launch, Role, State};
use super::poller::{Interest, Poller, Token};
use super::protocol::{Answer, Event, ServerFrame};
use super::signals::send_group_signal;
use super::source::Source;
use super::streams::{CHUNK_BYTES, Context, Streams};
use super::wire::{Inbox, Outbox, WireError};
use crate::launch::report::{Failure, FailureKind, Result};

pub(super) struct Connection {
    pub(super) stream: UnixStream,
    pub(super) token: Token,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// Has said hello: gets events.
    pub(super) greeted: bool,
}

pub(super) struct Server {
    pub(super) poller: Poller<Source>,
    pub(super) listener: UnixListener,
    pub(super) signals: SignalFd,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) containers: BTreeMap<u64, Container>,
    pub(super) container_keys: HashMap<String, u64>,
    pub(super) execs: HashMap<u64, Exec>,
    /// The pid of each sandbox's init.
    pub(super) inits: HashMap<String, i32>,
    pub(super) launches: BTreeMap<u64, Launch>,
    /// Every child that has not been reaped.
    pub(super) children: HashMap<i32, Role>,
    pub(super) clock: Clock,
    pub(super) open_files: (u64, u64),
    chunk: Box<[u8]>,
    pub(super) warnings: Vec<String>,
    next_key: u64,
    /// Asked to end as soon as there is nothing to supervise.
    pub(super) leaving: bool,
}

impl Server {
    pub(super) fn new(listener: UnixListener, signals: SignalFd, open_files: (u64, u64)) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let mut poller = Poller::new()?;
        poller.add(listener.as_fd(), Interest::Read, Source::Listener)?;
        poller.add(signals.as_fd(), Interest::Read, Source::Signals)?;
        Ok(Self {
            poller,
            listener,
            signals,
            connections: BTreeMap::new(),
            containers: BTreeMap::new(),
            container_keys: HashMap::new(),
            execs: HashMap::new(),
            inits: HashMap::new(),
            launches: BTreeMap::new(),
            children: HashMap::new(),
            clock: Clock::system(),
            open_files,
            chunk: vec![0; CHUNK_BYTES].into_boxed_slice(),
            warnings: Vec::new(),
            next_key: 0,
            leaving: false,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        let done = |container: &Container| container.has_ended() || container.discarded;
        self.inits.is_empty() && self.launches.is_empty() && self.containers.values().all(done)
    }

    pub(super) fn new_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    pub(super) fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }

    /// Lets `work` act on the streams of one container with what they need of the server.
    pub(super) fn with_streams<T>(
        &mut self,
        key: u64,
        work: impl FnOnce(&mut Streams, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let container = self.containers.get_mut(&key)?;
        let mut context = Context {
            poller: &mut self.poller,
            chunk: &mut self.chunk,
            now: Instant::now(),
            now_nanos: self.clock.now_nanos(),
            warnings: &mut self.warnings,
        };
        Some(work(&mut container.streams, &mut context))
    }

    pub(super) fn answer(&mut self, asker: Asker, result: Result<Answer>, fds: Vec<OwnedFd>) {
        self.send(asker.connection, &ServerFrame::Answer { id: asker.request, result }, fds);
    }

    pub(super) fn broadcast(&mut self, event: Event) {
        let frame = ServerFrame::Event(event);
        let greeted = self.connections.iter().filter(|(_, connection)| connection.greeted);
        for id in greeted.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.send(id, &frame, Vec::new());
        }
    }

    fn send(&mut self, id: u64, frame: &ServerFrame, fds: Vec<OwnedFd>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let pushed = serde_json::to_vec(frame)
            .map_err(|error| WireError::Socket(error.into()))
            .and_then(|payload| connection.outbox.push(&payload, fds));
        match pushed {
            Ok(()) => self.flush(id),
            Err(error) => {
                self.warn(format!("a connection was dropped: {}", with_causes(&error)));
                self.drop_connection(id);
            }
        }
    }

    pub(super) fn flush(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.outbox.flush(connection.stream.as_fd()) {
            Ok(empty) => {
                let interest = if empty { Interest::Read } else { Interest::ReadWrite };
                let _ = self.poller.set(connection.token, connection.stream.as_fd(), interest);
            }
            Err(_) => self.drop_connection(id),
        }
    }

    pub(super) fn flush_all(&mut self) {
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.flush(id);
        }
    }

    /// A daemon has gone: its containers stay, the commands that it was executing for clients do not.
    pub(super) fn drop_connection(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.poller.remove(connection.token, &connection.stream);
        self.end_execs_of(id);
    }

    /// Kills what was executed for a daemon that has gone.
    pub(super) fn end_execs_of(&mut self, connection: u64) {
        for exec in self.execs.values().filter(|exec| exec.connection == connection) {
            let _ = send_group_signal(exec.pid, libc::SIGKILL);
        }
    }

    pub(super) fn find(&mut self, id: &str) -> Result<&mut Container> {
        let key = self.container_keys.get(id).copied();
        key.and_then(|key| self.containers.get_mut(&key))
            .ok_or_else(|| Failure::new(FailureKind::NotFound, format!("container {id} is not supervised")))
    }

    /// A running container and its process.
    pub(super) fn running(&mut self, id: &str) -> Result<(&mut Container, i32)> {
        let container = self.find(id)?;
        match container.state {
            State::Running { pid, .. } => Ok((container, pid)),
            State::Launching | State::Exited { .. } => {
                Err(Failure::new(FailureKind::NotRunning, format!("container {id} is not running")))
            }
        }
    }
}
