//! The standard streams of one container: its output goes to the log and to attached clients, the input of attached clients
//! goes to it.
//!
//! Nothing is lost and nothing blocks. A client that reads slowly slows the container's output down, as a terminal would,
//! because what is held for it is bounded; a client that has not read anything for [`STALL_MAX`] is dropped, so that a
//! forgotten `kubectl attach` cannot stop a container. A source that must not be read at the moment is taken out of the
//! poller entirely, because its end would be told over and over.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::log_file::{LogFile, Stream};
use super::poller::{Interest, Poller, Readiness, Token};
use super::source::{Port, Source};
use crate::sys::message::set_nonblocking;

/// Held for one client of one stream before the container's output is not read any further.
const HELD_BYTES_MAX: usize = 256 << 10;
/// How long a client may leave held output unread.
const STALL_MAX: Duration = Duration::from_secs(30);
/// Read in one go from one stream, so that a chatty container does not keep others waiting.
const READS_AT_ONCE_MAX: usize = 8;
/// Read after the first process has ended, when others hold the stream open and go on writing.
const DRAIN_BYTES_MAX: usize = 4 << 20;
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// What the streams need of the server while they work.
pub(super) struct Context<'a> {
    pub(super) poller: &'a mut Poller<Source>,
    pub(super) chunk: &'a mut [u8],
    pub(super) now: Instant,
    pub(super) now_nanos: i64,
    pub(super) warnings: &'a mut Vec<String>,
}

/// A container's stdout, stderr or terminal.
struct Output {
    fd: OwnedFd,
    /// `None` while it is not read.
    token: Option<Token>,
}

/// A container's stdin or terminal.
struct Input {
    fd: OwnedFd,
    /// Present while it is full and clients wait for room.
    token: Option<Token>,
}

struct Sink {
    fd: OwnedFd,
    token: Token,
    held: VecDeque<u8>,
    /// When it last took something.
    progress: Instant,
    /// The stream has ended: close when nothing is held any more.
    ending: bool,
}

struct ClientSource {
    fd: OwnedFd,
    /// `None` while it is not read.
    token: Option<Token>,
    held: Vec<u8>,
}

#[derive(Default)]
struct Client {
    sinks: [Option<Sink>; 2],
    source: Option<ClientSource>,
}

impl Client {
    fn is_gone(&self) -> bool {
        self.source.is_none() && self.sinks.iter().all(Option::is_none)
    }
}

/// What a new client wants to be connected to.
#[derive(Default)]
pub(super) struct ClientStreams {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

pub(super) struct Streams {
    container: u64,
    log: Option<LogFile>,
    /// Whether the log's last write failed, to warn once and not for each line.
    log_failing: bool,
    outputs: [Option<Output>; 2],
    input: Option<Input>,
    input_once: bool,
    terminal: bool,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
}

impl Streams {
    pub(super) fn new(container: u64, log: Option<LogFile>, input_once: bool) -> Self {
        Self {
            container,
            log,
            log_failing: false,
            outputs: [None, None],
            input: None,
            input_once,
            terminal: false,
            clients: BTreeMap::new(),
            next_client: 0,
        }
    }

    fn source(&self, port: Port) -> Source {
        Source::Container(self.container, port)
    }

    /// Starts to read a stream of the container.
    pub(super) fn set_output(&mut self, stream: Stream, fd: OwnedFd, context: &mut Context<'_>) -> io::Result<()> {
        set_nonblocking(fd.as_fd())?;
        let token = context.poller.add(fd.as_fd(), Interest::Read, self.source(Port::Output(stream)))?;
        self.outputs[stream.index()] = Some(Output { fd, token: Some(token) });
        Ok(())
    }

    pub(super) fn set_input(&mut self, fd: OwnedFd) -> io::Result<()> {
        set_nonblocking(fd.as_fd())?;
        self.input = Some(Input { fd, token: None });
        Ok(())
    }

    /// One descriptor for both directions.
    pub(super) fn set_terminal(&mut self, master: OwnedFd, context: &mut Context<'_>) -> io::Result<()> {
        self.terminal = true;
        self.set_input(master.try_clone()?)?;
        self.set_output(Stream::Stdout, master, context)
    }

    pub(super) fn resize(&self, width: u16, height: u16) -> io::Result<()> {
        let (true, Some(input)) = (self.terminal, &self.input) else { return Ok(()) };
        set_window(&input.fd, width, height)
    }

    pub(super) fn reopen_log(&mut self) -> io::Result<()> {
        self.log_failing = false;
        self.log.as_mut().map_or(Ok(()), LogFile::reopen)
    }

    /// Connects a client; streams that have ended already end for it at once.
    pub(super) fn attach(&mut self, streams: ClientStreams, context: &mut Context<'_>) -> io::Result<()> {
        self.next_client += 1;
        let id = self.next_client;
        let mut client = Client::default();
        for (stream, fd) in [(Stream::Stdout, streams.stdout), (Stream::Stderr, streams.stderr)] {
            let Some(fd) = fd.filter(|_| self.outputs[stream.index()].is_some()) else { continue };
            set_nonblocking(fd.as_fd())?;
            let source = self.source(Port::ClientOutput(id, stream));
            let token = context.poller.add(fd.as_fd(), Interest::PeerOnly, source)?;
            let held = VecDeque::new();
            client.sinks[stream.index()] = Some(Sink { fd, token, held, progress: context.now, ending: false });
        }
        if let Some(fd) = streams.stdin.filter(|_| self.input.is_some()) {
            set_nonblocking(fd.as_fd())?;
            let token = context.poller.add(fd.as_fd(), Interest::Read, self.source(Port::ClientInput(id)))?;
            client.source = Some(ClientSource { fd, token: Some(token), held: Vec::new() });
        }
        self.clients.insert(id, client);
        self.forget_gone(id);
        Ok(())
    }

    pub(super) fn ready(&mut self, port: Port, readiness: Readiness, context: &mut Context<'_>) {
        match port {
            Port::Output(stream) => self.read_output(stream, context),
            Port::Input => self.input_has_room(context),
            Port::ClientOutput(client, stream) => self.client_took(client, stream, readiness, context),
            Port::ClientInput(client) => self.read_client(client, context),
        }
    }

    fn read_output(&mut self, stream: Stream, context: &mut Context<'_>) {
        for _ in 0..READS_AT_ONCE_MAX {
            match self.read_once(stream, context) {
                Some(0) | None => return,
                Some(_) if self.is_held_up(stream) => return self.pause_output(stream, context),
                Some(_) => {}
            }
        }
    }

    /// Reads one chunk and hands it on. `None` when nothing is there now, 0 at the end.
    fn read_once(&mut self, stream: Stream, context: &mut Context<'_>) -> Option<usize> {
        let output = self.outputs[stream.index()].as_ref()?;
        match nix::unistd::read(output.fd.as_raw_fd(), context.chunk) {
            Err(nix::errno::Errno::EAGAIN) => None,
            Err(nix::errno::Errno::EINTR) => Some(1),
            Ok(count) if count > 0 => {
                self.deliver(stream, count, context);
                Some(count)
            }
            // The end: of a pipe 0, of a terminal EIO.
            Ok(_) | Err(_) => {
                self.end_output(stream, context);
                Some(0)
            }
        }
    }

    fn deliver(&mut self, stream: Stream, count: usize, context: &mut Context<'_>) {
        let data = &context.chunk[..count];
        if let Some(log) = &mut self.log {
            let result = log.append(stream, data, context.now_nanos);
            note_log(&mut self.log_failing, result, context.warnings);
        }
        for client in self.clients.values_mut() {
            let Some(sink) = &mut client.sinks[stream.index()] else { continue };
            if sink.take(data, context.now) {
                let _ = context.poller.set(sink.token, sink.fd.as_fd(), Interest::Write);
            }
        }
    }

    fn end_output(&mut self, stream: Stream, context: &mut Context<'_>) {
        let Some(output) = self.outputs[stream.index()].take() else { return };
        if let Some(token) = output.token {
            context.poller.remove(token, &output.fd);
        }
        if let Some(log) = &mut self.log {
            let result = log.end(stream, context.now_nanos);
            note_log(&mut self.log_failing, result, context.warnings);
        }
        if self.outputs.iter().all(Option::is_none) {
            // Nothing more can come: an ended container holds no file open.
            self.log = None;
        }
        for id in self.clients.keys().copied().collect::<Vec<_>>() {
            let Some(client) = self.clients.get_mut(&id) else { continue };
            end_sink(&mut client.sinks[stream.index()], context.poller);
            self.forget_gone(id);
        }
    }

    fn is_held_up(&self, stream: Stream) -> bool {
        let held = |client: &Client| client.sinks[stream.index()].as_ref().map_or(0, |sink| sink.held.len());
        self.clients.values().any(|client| held(client) > HELD_BYTES_MAX)
    }

    fn pause_output(&mut self, stream: Stream, context: &mut Context<'_>) {
        if let Some(output) = &mut self.outputs[stream.index()]
            && let Some(token) = output.token.take()
        {
            context.poller.remove(token, &output.fd);
        }
    }

    fn resume_output(&mut self, stream: Stream, context: &mut Context<'_>) {
        if self.is_held_up(stream) {
            return;
        }
        let source = self.source(Port::Output(stream));
        if let Some(output) = &mut self.outputs[stream.index()]
            && output.token.is_none()
        {
            output.token = context.poller.add(output.fd.as_fd(), Interest::Read, source).ok();
        }
    }

    fn client_took(&mut self, id: u64, stream: Stream, readiness: Readiness, context: &mut Context<'_>) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let slot = &mut client.sinks[stream.index()];
        let Some(sink) = slot else { return };
        let gone = readiness.hung_up || !sink.flush(context.now);
        if gone || (sink.held.is_empty() && sink.ending) {
            remove_sink(slot, context.poller);
        } else if sink.held.is_empty() {
            let _ = context.poller.set(sink.token, sink.fd.as_fd(), Interest::PeerOnly);
        }
        self.forget_gone(id);
        self.resume_output(stream, context);
    }

    fn read_client(&mut self, id: u64, context: &mut Context<'_>) {
        let Some(source) = self.clients.get_mut(&id).and_then(|client| client.source.as_mut()) else { return };
        let (fd, token) = (source.fd.as_raw_fd(), source.token);
        match nix::unistd::read(fd, context.chunk) {
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
            Ok(count) if count > 0 => {
                source.held.extend_from_slice(&context.chunk[..count]);
                if !self.feed(id) {
                    return self.close_input(context);
                }
                let waiting = self.clients.get(&id).and_then(|client| client.source.as_ref());
                if waiting.is_some_and(|source| !source.held.is_empty()) {
                    self.await_room(id, token, context);
                }
            }
            Ok(_) | Err(_) => self.client_input_ended(id, context),
        }
    }

    /// Writes what a client has sent into the container, as far as there is room. False when nobody reads it any more.
    fn feed(&mut self, id: u64) -> bool {
        let Some(input) = &self.input else { return false };
        let Some(source) = self.clients.get_mut(&id).and_then(|client| client.source.as_mut()) else { return true };
        while !source.held.is_empty() {
            match nix::unistd::write(&input.fd, &source.held) {
                Ok(count) => drop(source.held.drain(..count)),
                Err(nix::errno::Errno::EAGAIN) => return true,
                Err(nix::errno::Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn await_room(&mut self, id: u64, token: Option<Token>, context: &mut Context<'_>) {
        if let Some(source) = self.clients.get_mut(&id).and_then(|client| client.source.as_mut())
            && let Some(token) = token
        {
            context.poller.remove(token, &source.fd);
            source.token = None;
        }
        let port = self.source(Port::Input);
        if let Some(input) = &mut self.input
            && input.token.is_none()
        {
            input.token = context.poller.add(input.fd.as_fd(), Interest::Write, port).ok();
        }
    }

    fn input_has_room(&mut self, context: &mut Context<'_>) {
        for id in self.clients.keys().copied().collect::<Vec<_>>() {
            if !self.feed(id) {
                return self.close_input(context);
            }
            let port = self.source(Port::ClientInput(id));
            let Some(source) = self.clients.get_mut(&id).and_then(|client| client.source.as_mut()) else { continue };
            if !source.held.is_empty() {
                return;
            }
            if source.token.is_none() {
                source.token = context.poller.add(source.fd.as_fd(), Interest::Read, port).ok();
            }
        }
        if let Some(input) = &mut self.input
            && let Some(token) = input.token.take()
        {
            context.poller.remove(token, &input.fd);
        }
    }

    /// The end of what a client types is the container's with `stdinOnce`; else it is the client's own: its session ends and the
    /// container goes on.
    fn client_input_ended(&mut self, id: u64, context: &mut Context<'_>) {
        let is_last = self.input_once && !self.terminal;
        if let Some(client) = self.clients.get_mut(&id) {
            remove_client_source(client, context.poller);
            if !is_last {
                client.sinks.iter_mut().for_each(|slot| end_sink(slot, context.poller));
            }
        }
        self.forget_gone(id);
        if is_last {
            self.close_input(context);
        }
    }

    /// Gives the container's stdin its end, and the clients theirs.
    fn close_input(&mut self, context: &mut Context<'_>) {
        if let Some(input) = self.input.take()
            && let Some(token) = input.token
        {
            context.poller.remove(token, &input.fd);
        }
        for client in self.clients.values_mut() {
            remove_client_source(client, context.poller);
        }
        self.clients.retain(|_, client| !client.is_gone());
    }

    /// The container's first process has ended: what it has written is read to the end before anybody hears of it.
    pub(super) fn process_ended(&mut self, context: &mut Context<'_>) {
        self.close_input(context);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let mut read = 0;
            while let Some(count) = self.read_once(stream, context) {
                read += count;
                if count == 0 || read > DRAIN_BYTES_MAX {
                    break;
                }
            }
        }
    }

    /// Lets go of everything.
    pub(super) fn close(&mut self, context: &mut Context<'_>) {
        self.close_input(context);
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.end_output(stream, context);
            for client in self.clients.values_mut() {
                remove_sink(&mut client.sinks[stream.index()], context.poller);
            }
        }
        self.clients.clear();
    }

    /// When a client that does not read is to be dropped.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let sinks = self.clients.values().flat_map(|client| client.sinks.iter().flatten());
        sinks.filter(|sink| !sink.held.is_empty()).map(|sink| sink.progress + STALL_MAX).min()
    }

    /// Drops clients that have not read for too long.
    pub(super) fn expire(&mut self, context: &mut Context<'_>) {
        let stalled = |sink: &Sink| !sink.held.is_empty() && context.now >= sink.progress + STALL_MAX;
        let ids: Vec<u64> = self
            .clients
            .iter()
            .filter(|(_, client)| client.sinks.iter().flatten().any(stalled))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(mut client) = self.clients.remove(&id) else { continue };
            client.sinks.iter_mut().for_each(|sink| remove_sink(sink, context.poller));
            remove_client_source(&mut client, context.poller);
            context.warnings.push(format!("an attached client was dropped: it read nothing for {STALL_MAX:?}"));
        }
        self.resume_output(Stream::Stdout, context);
        self.resume_output(Stream::Stderr, context);
    }

    fn forget_gone(&mut self, id: u64) {
        if self.clients.get(&id).is_some_and(Client::is_gone) {
            self.clients.remove(&id);
        }
    }
}

impl Sink {
    /// Sends or holds `data`. True when something is newly held.
    fn take(&mut self, data: &[u8], now: Instant) -> bool {
        let was_empty = self.held.is_empty();
        let mut rest = data;
        while was_empty && !rest.is_empty() {
            match nix::unistd::write(&self.fd, rest) {
                Ok(count) => rest = &rest[count..],
                Err(nix::errno::Errno::EINTR) => {}
                // Full; or gone, which the poller tells.
                Err(_) => break,
            }
        }
        self.held.extend(rest);
        if was_empty {
            self.progress = now;
        }
        was_empty && !rest.is_empty()
    }

    /// Sends what is held. False when the client is gone.
    fn flush(&mut self, now: Instant) -> bool {
        while !self.held.is_empty() {
            let (first, _) = self.held.as_slices();
            match nix::unistd::write(&self.fd, first) {
                Ok(count) => {
                    self.held.drain(..count);
                    self.progress = now;
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// Closes a client's output, once it has taken what is held for it.
fn end_sink(slot: &mut Option<Sink>, poller: &mut Poller<Source>) {
    match slot {
        Some(sink) if !sink.held.is_empty() => sink.ending = true,
        Some(_) => remove_sink(slot, poller),
        None => {}
    }
}

fn remove_sink(slot: &mut Option<Sink>, poller: &mut Poller<Source>) {
    if let Some(sink) = slot.take() {
        poller.remove(sink.token, &sink.fd);
    }
}

fn remove_client_source(client: &mut Client, poller: &mut Poller<Source>) {
    if let Some(source) = client.source.take()
        && let Some(token) = source.token
    {
        poller.remove(token, &source.fd);
    }
}

fn note_log(failing: &mut bool, result: io::Result<()>, warnings: &mut Vec<String>) {
    match result {
        Ok(()) => *failing = false,
        Err(error) if !*failing => {
            *failing = true;
            warnings.push(format!("container log entries are being lost: {error}"));
        }
        Err(_) => {}
    }
}

/// Sets a terminal's size.
pub(crate) fn set_window(terminal: &impl AsRawFd, width: u16, height: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the argument points to a window size that outlives the call.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
