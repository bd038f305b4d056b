//! The supervisor's loop: one thread, one poller, everything that happens is an event. No call in it waits for anything but
//! the local disk (log files).
//!
//! This file holds the loop, the connections and what belongs to all; [`super::requests`] answers daemons,
//! [`super::children`] makes and reaps processes, [`super::streams`] moves their bytes.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use windlass_api::text::with_causes;
use windlass_api::time::Clock;

use super::children::{Container, Exec, Launch, Role};
use super::poller::{Interest, Poller, Readiness, Token};
use super::protocol::{Answer, ClientFrame, Event, ServerFrame};
use super::streams::{CHUNK_BYTES, Context, Port};
use super::wire::{Inbox, Outbox, WireError};
use crate::launch::report::Failure;

/// Daemons and tools connected at the same time.
const CONNECTIONS_MAX: usize = 64;

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

pub(super) struct Connection {
    stream: UnixStream,
    token: Token,
    inbox: Inbox,
    outbox: Outbox,
    /// Has said hello: gets events.
    pub(super) greeted: bool,
}

/// Who asked, to answer later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) connection: u64,
    pub(super) request: u64,
}

pub(super) struct Server {
    pub(super) poller: Poller<Source>,
    listener: UnixListener,
    signals: SignalFd,
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
    warnings: Vec<String>,
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

    /// Serves until it is asked to leave and may.
    pub(super) fn run(&mut self) -> io::Result<()> {
        loop {
            let deadline = self.containers.values().filter_map(|container| container.streams.deadline()).min();
            let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            for (token, readiness) in self.poller.wait(timeout)? {
                self.dispatch_guarded(token, readiness);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                self.with_all_streams(|streams, context| streams.expire(context));
            }
            self.send_warnings();
            if self.leaving && self.is_idle() {
                self.flush_all();
                return Ok(());
            }
        }
    }

    /// A mistake in the handling of one event must not end the parent of all containers.
    fn dispatch_guarded(&mut self, token: Token, readiness: Readiness) {
        let Some(source) = self.poller.source(token) else { return };
        let handled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.dispatch(source, readiness)));
        if handled.is_err() {
            self.warn(format!("the handling of {source:?} panicked"));
        }
    }

    fn dispatch(&mut self, source: Source, readiness: Readiness) {
        match source {
            Source::Listener => self.accept(),
            Source::Signals => self.take_signals(),
            Source::Connection(id) => self.serve_connection(id, readiness),
            Source::Launch(id) => self.launch_reported(id),
            Source::Container(key, port) => {
                self.with_streams(key, |streams, context| streams.ready(port, readiness, context));
            }
        }
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

    fn send_warnings(&mut self) {
        for message in std::mem::take(&mut self.warnings) {
            let now = windlass_api::time::rfc3339_nano(self.clock.now());
            // The last resort when no daemon listens; if even this cannot be written, nobody can be told.
            let _ = writeln!(io::stderr(), "{now} {message}");
            self.broadcast(Event::Warning { message });
        }
    }

    /// Lets `work` act on the streams of one container with what they need of the server.
    pub(super) fn with_streams<T>(
        &mut self,
        key: u64,
        work: impl FnOnce(&mut super::streams::Streams, &mut Context<'_>) -> T,
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

    fn with_all_streams(&mut self, work: impl Fn(&mut super::streams::Streams, &mut Context<'_>)) {
        for key in self.containers.keys().copied().collect::<Vec<_>>() {
            self.with_streams(key, &work);
        }
    }

    fn take_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            if info.ssi_signo == Signal::SIGTERM as u32 {
                // The machine goes down, or an operator wants it gone: it goes when the containers have gone.
                self.leaving = true;
            }
        }
        self.reap();
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() >= CONNECTIONS_MAX || !is_trusted(&stream) {
                continue;
            }
            let id = self.new_key();
            let added = stream
                .set_nonblocking(true)
                .and_then(|()| self.poller.add(stream.as_fd(), Interest::Read, Source::Connection(id)));
            if let Ok(token) = added {
                let (inbox, outbox) = (Inbox::default(), Outbox::default());
                self.connections.insert(id, Connection { stream, token, inbox, outbox, greeted: false });
            }
        }
    }

    fn serve_connection(&mut self, id: u64, readiness: Readiness) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut open = Ok(true);
        if readiness.readable {
            open = connection.inbox.fill(connection.stream.as_fd());
        }
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            match connection.inbox.next() {
                Ok(Some(frame)) => match serde_json::from_slice::<ClientFrame>(&frame.payload) {
                    Ok(ClientFrame { id: request, request: body }) => {
                        self.serve(Asker { connection: id, request }, body, frame.fds);
                    }
                    Err(error) => self.refuse_unreadable(id, &frame.payload, &error),
                },
                Ok(None) => break,
                Err(error) => {
                    open = Err(error);
                    break;
                }
            }
        }
        match open {
            Ok(true) => self.flush(id),
            Ok(false) => self.drop_connection(id),
            Err(error) => {
                self.warn(format!("a connection was dropped: {}", with_causes(&error)));
                self.drop_connection(id);
            }
        }
    }

    /// Answers a request that only a newer daemon knows, so that it need not wait.
    fn refuse_unreadable(&mut self, connection: u64, payload: &[u8], error: &serde_json::Error) {
        #[derive(serde::Deserialize)]
        struct Numbered {
            id: u64,
        }
        if let Ok(Numbered { id }) = serde_json::from_slice(payload) {
            let message = format!("the supervisor does not understand the request: {error}");
            let failure = Failure::new(crate::launch::report::FailureKind::Invalid, message);
            self.answer(Asker { connection, request: id }, Err(failure), Vec::new());
        }
    }

    pub(super) fn answer(&mut self, asker: Asker, result: Result<Answer, Failure>, fds: Vec<OwnedFd>) {
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

    fn flush(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.outbox.flush(connection.stream.as_fd()) {
            Ok(empty) => {
                let interest = if empty { Interest::Read } else { Interest::ReadWrite };
                let _ = self.poller.set(connection.token, connection.stream.as_fd(), interest);
            }
            Err(_) => self.drop_connection(id),
        }
    }

    fn flush_all(&mut self) {
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.flush(id);
        }
    }

    /// A daemon has gone: its containers stay, the commands that it was executing for clients do not.
    fn drop_connection(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.poller.remove(connection.token, &connection.stream);
        self.end_execs_of(id);
    }
}

/// Only root, or whoever runs the supervisor, may command it.
fn is_trusted(stream: &UnixStream) -> bool {
    nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw())
}
