//! The server: packets in, answers out.
//!
//! # States
//!
//! - *waiting*: Services and EndpointSlices are still coming in. What is known is answered; what is not is a server failure
//!   and never denied, because a denial would be remembered. Ends with [`Dns::initialized`].
//! - *ready*: all is known.
//!
//! A question about the cluster is answered on the spot, by the task that reads the socket: about a microsecond of work
//! between two system calls, one lock that only changes ever hold, no task, no timer. Questions for others take a task each,
//! at most [`crate::Options::forwards_max`] at a time.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, Record, RecordType};
use parking_lot::RwLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use windlass_api::time::Clock;

use crate::answer::{Answer, Outcome, Zone};
use crate::cache::{Cached, Question};
use crate::clients::Clients;
use crate::forward::Forwarder;
use crate::index::Index;
use crate::metrics::Metrics;
use crate::object::{EndpointSlice, Service};
use crate::options::{Options, zone_name};
use crate::wire::{Read, Request, Response};
use windlass_api::ObjectKey;

/// Aliases that lead to aliases are followed this far.
const ALIASES_MAX: usize = 10;
/// Packets that are answered before other tasks get their turn.
const PACKETS_IN_A_ROW: usize = 64;
const PACKET_BYTES_MAX: usize = 4096;
/// How long to wait when the machine has no descriptor or memory for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A handle; all clones are the same server.
#[derive(Clone, Debug)]
pub struct Dns {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    zone: Zone,
    index: RwLock<Index>,
    clients: Clients,
    forwarder: Forwarder,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// The SOA's serial: when the index last changed, in seconds since the epoch.
    serial: AtomicU32,
    /// Which of several addresses comes first differs from answer to answer.
    turn: AtomicUsize,
    tcp_connections: Arc<Semaphore>,
    tcp_idle_timeout: Duration,
}

/// What becomes of a packet.
enum Handled {
    Ignored,
    Now(Vec<u8>),
    Later(Box<Later>),
}

/// An answer of which (a part of) must be asked of others.
struct Later {
    request: Request,
    /// What leads from the question's name to the one that is asked for.
    aliases: Vec<Record>,
    question: Question,
    start: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Dns {
    pub fn new(options: &Options, clock: Clock, metrics: &windlass_telemetry::Metrics) -> Self {
        let metrics = Arc::new(Metrics::new(metrics));
        let shared = Shared {
            zone: Zone::new(
                zone_name(&options.cluster_domain),
                options.service_ips.clone(),
                options.ttl_seconds,
                options.reverse_ranges.clone(),
            ),
            index: RwLock::default(),
            clients: Clients::new(options.client_ranges.clone()),
            forwarder: Forwarder::new(options, Arc::clone(&metrics)),
            metrics,
            clock,
            serial: AtomicU32::new(0),
            turn: AtomicUsize::new(0),
            tcp_connections: Arc::new(Semaphore::new(options.tcp_connections_max)),
            tcp_idle_timeout: options.tcp_idle_timeout,
        };
        Self { shared: Arc::new(shared) }
    }

    /// A Service appeared, changed, or (`None`) went.
    pub fn service_changed(&self, key: &ObjectKey, service: Option<&Service>) {
        self.change(|index| index.set_service(key, service));
    }

    /// An EndpointSlice appeared, changed, or (`None`) went. `key` is the slice's own.
    pub fn endpoint_slice_changed(&self, key: &ObjectKey, slice: Option<&EndpointSlice>) {
        self.change(|index| index.set_slice(key, slice));
    }

    /// A namespace appeared or went. Without being told of any, the server takes all for existing.
    pub fn namespace_changed(&self, name: &str, exists: bool) {
        self.change(|index| index.set_namespace(name, exists));
    }

    /// All objects that there were at the start have been handed in.
    pub fn initialized(&self) {
        self.change(|index| index.initialized = true);
    }

    /// Whether the server may get questions: the answer of a readiness probe.
    pub fn ready(&self) -> bool {
        self.shared.index.read().initialized
    }

    /// Who is asked for names that are not the cluster's.
    pub fn set_upstreams(&self, upstreams: Vec<SocketAddr>) {
        self.shared.forwarder.set_upstreams(upstreams);
    }

    /// Answers on these sockets until `shutdown`. UDP sockets should be bound to one address each: an answer must come from
    /// the address that was asked.
    pub async fn run(&self, udp: Vec<UdpSocket>, tcp: Vec<TcpListener>, shutdown: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        for socket in udp {
            tasks.spawn(serve_udp(Arc::clone(&self.shared), Arc::new(socket), stopped.clone()));
        }
        for listener in tcp {
            tasks.spawn(serve_tcp(Arc::clone(&self.shared), listener, stopped.clone()));
        }
        drop(stopped);
        shutdown.await;
        // Tasks end when the sender goes; those that are with upstreams answer on sockets that close with the last of them.
        drop(stop);
        while tasks.join_next().await.is_some() {}
    }

    fn change(&self, change: impl FnOnce(&mut Index)) {
        change(&mut self.shared.index.write());
        let now = self.shared.clock.now().as_second();
        self.shared.serial.store(now as u32, Ordering::Relaxed);
    }
}

impl Shared {
    fn handle(&self, bytes: &[u8], tcp: bool) -> Handled {
        let start = Instant::now();
        let request = match Request::read(bytes) {
            Read::Request(request) => request,
            Read::Ignore => return Handled::Ignored,
            Read::Refuse(response, code) => {
                self.metrics.request(tcp, None);
                self.finish(code, start);
                return Handled::Now(response);
            }
        };
        let kind = request.query.query_type();
        self.metrics.request(tcp, Some(kind));
        let mut aliases = Vec::new();
        match self.follow(request.query.name().clone(), kind, &mut aliases) {
            Some(answer) => {
                let response = self.about_cluster(answer, aliases);
                self.finish(response.response_code, start);
                Handled::Now(request.respond(response, tcp))
            }
            None => self.about_others(request, aliases, start, tcp),
        }
    }

    /// Follows aliases within the cluster to their end. `None` when the end is somebody else's name: that of the last alias,
    /// or of the question if there is none.
    fn follow(&self, mut name: Name, kind: RecordType, aliases: &mut Vec<Record>) -> Option<Answer> {
        let serial = self.serial.load(Ordering::Relaxed);
        let index = self.index.read();
        loop {
            match self.zone.answer(&index, &name, kind, serial) {
                Outcome::Answer(answer) => return Some(answer),
                Outcome::NotOurs => return None,
                // A circle of aliases leads nowhere; what was found of it is the answer.
                Outcome::Alias(_) if aliases.len() >= ALIASES_MAX => return Some(Answer::default()),
                Outcome::Alias(record) => {
                    name = alias_target(&record).clone();
                    aliases.push(*record);
                }
            }
        }
    }

    fn about_cluster(&self, mut answer: Answer, aliases: Vec<Record>) -> Response {
        let count = answer.answers.len();
        if count > 1 {
            answer.answers.rotate_left(self.turn.fetch_add(1, Ordering::Relaxed) % count);
        }
        let mut answers = aliases;
        answers.append(&mut answer.answers);
        Response {
            response_code: answer.response_code,
            authoritative: true,
            recursion_available: self.forwarder.has_upstreams(),
            authentic_data: false,
            answers,
            authorities: answer.authorities,
            additionals: answer.additionals,
        }
    }

    fn about_others(&self, request: Request, aliases: Vec<Record>, start: Instant, tcp: bool) -> Handled {
        let asked_for = aliases.last().map_or(request.query.name(), alias_target);
        let question = Question {
            name: asked_for.to_lowercase(),
            kind: request.query.query_type(),
            dnssec_ok: request.dnssec_ok(),
            checking_disabled: request.checking_disabled,
        };
        if self.forwarder.is_loop(request.id, &question.name) {
            let response = self.of_others(&Cached::failure(ResponseCode::ServFail), aliases);
            self.finish(response.response_code, start);
            return Handled::Now(request.respond(response, tcp));
        }
        if let Some(cached) = self.forwarder.cached(&question) {
            let response = self.of_others(&cached, aliases);
            self.finish(response.response_code, start);
            return Handled::Now(request.respond(response, tcp));
        }
        match self.forwarder.admit() {
            Some(permit) => Handled::Later(Box::new(Later { request, aliases, question, start, _permit: permit })),
            None => {
                let response = self.of_others(&Cached::failure(ResponseCode::ServFail), aliases);
                self.finish(response.response_code, start);
                Handled::Now(request.respond(response, tcp))
            }
        }
    }

    async fn later(&self, later: Later, tcp: bool) -> Vec<u8> {
        let Later { request, aliases, question, start, _permit } = later;
        let answer = self.forwarder.resolve(question).await;
        let response = self.of_others(&answer, aliases);
        self.finish(response.response_code, start);
        request.respond(response, tcp)
    }

    fn of_others(&self, cached: &Cached, aliases: Vec<Record>) -> Response {
        let has_alias = !aliases.is_empty();
        let failed = matches!(cached.response_code, ResponseCode::ServFail | ResponseCode::Refused);
        let mut answers = aliases;
        answers.extend(cached.answers.iter().cloned());
        Response {
            // The alias is true even if nobody tells where it leads.
            response_code: if has_alias && failed { ResponseCode::NoError } else { cached.response_code },
            authoritative: false,
            recursion_available: self.forwarder.has_upstreams(),
            authentic_data: cached.authentic_data && !has_alias,
            answers,
            authorities: cached.authorities.clone(),
            additionals: cached.additionals.clone(),
        }
    }

    fn finish(&self, code: ResponseCode, start: Instant) {
        self.metrics.response(code);
        self.metrics.duration.observe(start.elapsed().as_secs_f64());
    }
}

/// Where an alias record leads.
fn alias_target(record: &Record) -> &Name {
    match &record.data {
        hickory_proto::rr::RData::CNAME(target) => &target.0,
        _ => &record.name,
    }
}

async fn serve_udp(shared: Arc<Shared>, socket: Arc<UdpSocket>, mut stopped: watch::Receiver<()>) {
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    loop {
        tokio::select! {
            readable = socket.readable() => if readable.is_err() { return },
            _ = stopped.changed() => return,
        }
        for _ in 0..PACKETS_IN_A_ROW {
            let (length, peer) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // An answer could not be delivered, and the kernel says so on the next call. It has nothing to do with it.
                Err(_) => continue,
            };
            // A stranger gets no answer, not even that there is none for him: his address may be another's.
            if !shared.clients.may_ask(peer.ip()) {
                continue;
            }
            match shared.handle(&buffer[..length], false) {
                Handled::Ignored => {}
                Handled::Now(response) => drop(socket.send_to(&response, peer).await),
                Handled::Later(later) => {
                    let (shared, socket) = (Arc::clone(&shared), Arc::clone(&socket));
                    tokio::spawn(async move {
                        let response = shared.later(*later, false).await;
                        let _ = socket.send_to(&response, peer).await;
                    });
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn serve_tcp(shared: Arc<Shared>, listener: TcpListener, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&shared.tcp_connections).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => return,
        };
        let Ok((stream, peer)) = accepted else {
            // The connection was reset before it was accepted; or the machine has no descriptor for it, which may get better.
            tokio::time::sleep(EXHAUSTED_PAUSE).await;
            continue;
        };
        if !shared.clients.may_ask(peer.ip()) {
            continue;
        }
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _ = serve_connection(&shared, stream).await;
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one question after another until the client hangs up or says nothing for too long.
async fn serve_connection(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let read = async {
            let length = stream.read_u16().await?;
            let mut packet = vec![0; usize::from(length)];
            stream.read_exact(&mut packet).await?;
            Ok::<_, std::io::Error>(packet)
        };
        let Ok(packet) = tokio::time::timeout(shared.tcp_idle_timeout, read).await else { return Ok(()) };
        let response = match shared.handle(&packet?, true) {
            Handled::Ignored => return Ok(()),
            Handled::Now(response) => response,
            Handled::Later(later) => shared.later(*later, true).await,
        };
        let length = u16::try_from(response.len()).unwrap_or(u16::MAX);
        let mut framed = Vec::with_capacity(response.len() + 2);
        framed.extend_from_slice(&length.to_be_bytes());
        framed.extend_from_slice(&response);
        let write = stream.write_all(&framed);
        match tokio::time::timeout(shared.tcp_idle_timeout, write).await {
            Ok(written) => written?,
            Err(_) => return Ok(()),
        }
    }
}

/// The addresses of a server's own sockets, which must not be its upstreams.
pub fn own_addresses(service_ips: &[IpAddr], sockets: &[SocketAddr]) -> Vec<IpAddr> {
    service_ips.iter().copied().chain(sockets.iter().map(SocketAddr::ip)).collect()
}
