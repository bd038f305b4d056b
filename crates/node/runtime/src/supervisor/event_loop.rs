//! The supervisor's loop: one thread, one poller, everything that happens is an event. No call in it waits for anything but
//! the local disk (log files).

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::signal::Signal;
use windlass_api::text::with_causes;

use super::child::Asker;
use super::poller::{Interest, Readiness, Token};
use super::protocol::{ClientFrame, Event};
use super::server::{Connection, Server};
use super::source::Source;
use super::streams::{Context, Streams};
use super::wire::{Inbox, Outbox};
use crate::launch::report::{Failure, FailureKind};

/// Daemons and tools connected at the same time.
const CONNECTIONS_MAX: usize = 64;

impl Server {
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

    fn send_warnings(&mut self) {
        for message in std::mem::take(&mut self.warnings) {
            let now = windlass_api::time::rfc3339_nano(self.clock.now());
            // The last resort when no daemon listens; if even this cannot be written, nobody can be told.
            let _ = writeln!(io::stderr(), "{now} {message}");
            self.broadcast(Event::Warning { message });
        }
    }

    fn with_all_streams(&mut self, work: impl Fn(&mut Streams, &mut Context<'_>)) {
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
            let failure = Failure::new(FailureKind::Invalid, message);
            self.answer(Asker { connection, request: id }, Err(failure), Vec::new());
        }
    }
}

/// Only root, or whoever runs the supervisor, may command it.
fn is_trusted(stream: &UnixStream) -> bool {
    nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw())
}
