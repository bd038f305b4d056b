//! The daemon's end of the conversation with the supervisor.
//!
//! One task owns the socket. Requests are answered in any order; events go to a channel that ends when the connection does.
//! The end of an exec'd process is handed to whoever started it, together with the answer, so that it cannot be missed.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::protocol::{Answer, ClientFrame, Event, PROTOCOL, Request, ServerFrame};
use super::wire::{Frame, Inbox, Outbox, WireError};
use crate::launch::report::Failure;

/// Requests that wait for the task.
const REQUESTS_MAX: usize = 256;
/// Events that wait for the runtime, which takes them without waiting for anything.
const EVENTS_MAX: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("the supervisor has gone")]
    Gone,
    #[error(transparent)]
    Refused(#[from] Failure),
    #[error("the supervisor answered something else than was asked")]
    Confused,
    #[error(
        "the running supervisor speaks protocol {theirs}, this program {PROTOCOL}: end it with `windlass down` and start again"
    )]
    Protocol { theirs: u32 },
    #[error("the request cannot be sent")]
    Unsendable(#[source] WireError),
}

/// An answer with what came with it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) fds: Vec<OwnedFd>,
    /// For [`Answer::ExecStarted`]: resolves to the exit code, or fails when the supervisor has gone.
    pub(crate) exec_exit: Option<oneshot::Receiver<i32>>,
}

type Answering = oneshot::Sender<Result<Reply, ClientError>>;

struct Outgoing {
    request: Request,
    fds: Vec<OwnedFd>,
    answering: Answering,
}

/// A cheap handle; the connection closes when the last one is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    requests: mpsc::Sender<Outgoing>,
}

impl Client {
    /// Starts the conversation. The receiver ends when the supervisor has gone.
    pub(crate) async fn connect(socket: UnixStream) -> Result<(Self, mpsc::Receiver<Event>), ClientError> {
        let unusable = |error| ClientError::Unsendable(WireError::Socket(error));
        socket.set_nonblocking(true).map_err(unusable)?;
        // SAFETY: a UnixStream's descriptor is open and the same for as long as it lives, and it lives in what is made here.
        let socket = unsafe { AsyncFd::register(socket) }.map_err(|error| unusable(error.into()))?;
        let (requests, outgoing) = mpsc::channel(REQUESTS_MAX);
        let (events, received) = mpsc::channel(EVENTS_MAX);
        let conversation = Conversation { socket, events, next: 0, pending: HashMap::new(), execs: HashMap::new() };
        tokio::spawn(conversation.run(outgoing));
        let client = Self { requests };
        let hello = client.call(Request::Hello { protocol: PROTOCOL }, Vec::new()).await?;
        match hello.answer {
            Answer::Hello { protocol: PROTOCOL, .. } => {
                if !hello.fds.iter().any(is_own_mount_namespace) {
                    tracing::warn!(
                        "the container supervisor is in another mount namespace: volumes will not show in containers"
                    );
                }
                Ok((client, received))
            }
            Answer::Hello { protocol: theirs, .. } => Err(ClientError::Protocol { theirs }),
            _ => Err(ClientError::Confused),
        }
    }

    pub(crate) async fn call(&self, request: Request, fds: Vec<OwnedFd>) -> Result<Reply, ClientError> {
        let (answering, answer) = oneshot::channel();
        let outgoing = Outgoing { request, fds, answering };
        self.requests.send(outgoing).await.map_err(|_| ClientError::Gone)?;
        answer.await.map_err(|_| ClientError::Gone)?
    }

    /// A request whose answer says only that it is done.
    pub(crate) async fn order(&self, request: Request) -> Result<(), ClientError> {
        match self.call(request, Vec::new()).await?.answer {
            Answer::Done => Ok(()),
            _ => Err(ClientError::Confused),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }
}

fn is_own_mount_namespace(namespace: &OwnedFd) -> bool {
    let own = std::fs::metadata("/proc/thread-self/ns/mnt");
    let theirs = nix::sys::stat::fstat(namespace.as_raw_fd());
    own.is_ok_and(|own| theirs.is_ok_and(|theirs| own.ino() == theirs.st_ino && own.dev() == theirs.st_dev))
}

struct Conversation {
    socket: AsyncFd<UnixStream>,
    events: mpsc::Sender<Event>,
    next: u64,
    pending: HashMap<u64, Answering>,
    execs: HashMap<u64, oneshot::Sender<i32>>,
}

impl Conversation {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>) {
        let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
        let mut blocked = false;
        loop {
            tokio::select! {
                request = outgoing.recv() => {
                    let Some(request) = request else { return };
                    self.push(request, &mut outbox);
                }
                ready = self.socket.readable() => {
                    let Ok(mut ready) = ready else { break };
                    let open = inbox.fill(ready.get_inner().as_fd());
                    ready.clear_ready();
                    if self.take_frames(&mut inbox).await.is_err() || !matches!(open, Ok(true)) {
                        break;
                    }
                }
                ready = self.socket.writable(), if blocked => {
                    let Ok(mut ready) = ready else { break };
                    ready.clear_ready();
                }
            }
            match outbox.flush(self.socket.get_ref().as_fd()) {
                Ok(empty) => blocked = !empty,
                Err(_) => break,
            }
        }
        for (_, answering) in self.pending.drain() {
            let _ = answering.send(Err(ClientError::Gone));
        }
    }

    fn push(&mut self, request: Outgoing, outbox: &mut Outbox) {
        self.next += 1;
        let frame = ClientFrame { id: self.next, request: request.request };
        let payload = serde_json::to_vec(&frame).map_err(|error| WireError::Socket(io::Error::from(error)));
        match (payload.and_then(|payload| outbox.push(&payload, request.fds)), request.answering) {
            (Ok(()), answering) => drop(self.pending.insert(self.next, answering)),
            (Err(error), answering) => drop(answering.send(Err(ClientError::Unsendable(error)))),
        }
    }

    async fn take_frames(&mut self, inbox: &mut Inbox) -> Result<(), WireError> {
        while let Some(Frame { payload, fds }) = inbox.next()? {
            match serde_json::from_slice::<ServerFrame>(&payload) {
                Ok(ServerFrame::Answer { id, result }) => self.answered(id, result, fds),
                Ok(ServerFrame::Event(Event::ExecExited { exec, exit_code })) => {
                    if let Some(waiting) = self.execs.remove(&exec) {
                        let _ = waiting.send(exit_code);
                    }
                }
                Ok(ServerFrame::Event(event)) => {
                    // A full channel means that the runtime has stopped; then nobody needs the event.
                    let _ = self.events.send(event).await;
                }
                // An event that only a newer supervisor knows.
                Err(error) => tracing::warn!(%error, "the supervisor said something unknown"),
            }
        }
        Ok(())
    }

    fn answered(&mut self, id: u64, result: Result<Answer, Failure>, fds: Vec<OwnedFd>) {
        let mut exec_exit = None;
        if let Ok(Answer::ExecStarted { exec, .. }) = &result {
            let (sender, receiver) = oneshot::channel();
            self.execs.insert(*exec, sender);
            exec_exit = Some(receiver);
        }
        let Some(answering) = self.pending.remove(&id) else { return };
        let reply = result.map(|answer| Reply { answer, fds, exec_exit }).map_err(ClientError::Refused);
        let _ = answering.send(reply);
    }
}
