//! Names that are not the cluster's: asked of upstream resolvers, over UDP, and over TCP when the answer does not fit.
//!
//! Every question goes out from a port and with an id of its own, chosen at random, so that an answer cannot be forged
//! without seeing it. Questions that are the same share one exchange. A question of ours that comes back to us is a loop: an
//! upstream, or one of its upstreams, asks this server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashSet};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, Name};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::cache::{Cache, Cached, Question};
use crate::metrics::Metrics;
use crate::options::Options;

/// What upstreams may send over UDP: fits every usual path without fragments.
const UDP_BYTES_MAX: u16 = 1232;
/// Each upstream is asked this many times before the question fails.
const ROUNDS: usize = 2;
const LOOP_LOG_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Forwarder {
    upstreams: Mutex<Vec<SocketAddr>>,
    timeout: Duration,
    cache: Mutex<Cache>,
    /// Who else waits for an answer that is on its way.
    waiting: Mutex<HashMap<Question, Vec<oneshot::Sender<Arc<Cached>>>>>,
    /// Our own questions, as upstreams see them.
    asked: Mutex<HashSet<(u16, Name)>>,
    permits: Arc<Semaphore>,
    metrics: Arc<Metrics>,
    loop_logged: Mutex<Option<Instant>>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("cannot encode the question")]
    Encode,
    #[error("the answer belongs to another question")]
    Mismatch,
}

impl Forwarder {
    pub(crate) fn new(options: &Options, metrics: Arc<Metrics>) -> Self {
        Self {
            upstreams: Mutex::new(options.upstreams.clone()),
            timeout: options.upstream_timeout,
            cache: Mutex::new(Cache::new(options.cache_entries_max, options.cache_seconds_max)),
            waiting: Mutex::default(),
            asked: Mutex::default(),
            permits: Arc::new(Semaphore::new(options.forwards_max)),
            metrics,
            loop_logged: Mutex::new(None),
        }
    }

    pub(crate) fn set_upstreams(&self, upstreams: Vec<SocketAddr>) {
        *self.upstreams.lock() = upstreams;
    }

    pub(crate) fn has_upstreams(&self) -> bool {
        !self.upstreams.lock().is_empty()
    }

    /// Room for one more question. It is taken for as long as the permit lives; `None` when too many wait already.
    pub(crate) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok();
        if permit.is_none() {
            self.metrics.forwards_rejected.inc();
        }
        permit
    }

    /// An answer that needs nobody to be asked.
    pub(crate) fn cached(&self, question: &Question) -> Option<Cached> {
        let found = self.cache.lock().get(question, Instant::now());
        let counter = if found.is_some() { &self.metrics.cache_hits } else { &self.metrics.cache_misses };
        counter.inc();
        found
    }

    /// Whether a question is one that we asked somebody else just now.
    pub(crate) fn is_loop(&self, id: u16, name: &Name) -> bool {
        if !self.asked.lock().contains(&(id, name.to_lowercase())) {
            return false;
        }
        self.metrics.loops.inc();
        let mut logged = self.loop_logged.lock();
        if logged.is_none_or(|at| at.elapsed() >= LOOP_LOG_INTERVAL) {
            *logged = Some(Instant::now());
            tracing::error!(%name, "an upstream resolver asks this server: remove it from the node's resolv.conf");
        }
        true
    }

    /// Asks upstreams. Never fails: the answer may be a server failure.
    pub(crate) async fn resolve(&self, question: Question) -> Arc<Cached> {
        if !self.has_upstreams() {
            return Arc::new(Cached::failure(ResponseCode::Refused));
        }
        let joined = {
            let mut waiting = self.waiting.lock();
            match waiting.get_mut(&question) {
                Some(others) => {
                    let (sender, receiver) = oneshot::channel();
                    others.push(sender);
                    Some(receiver)
                }
                None => {
                    waiting.insert(question.clone(), Vec::new());
                    None
                }
            }
        };
        if let Some(receiver) = joined {
            return receiver.await.unwrap_or_else(|_| Arc::new(Cached::failure(ResponseCode::ServFail)));
        }
        let mut turn = Turn { forwarder: self, question: &question, answer: None };
        let answer = Arc::new(self.ask(&question).await);
        turn.answer = Some(Arc::clone(&answer));
        answer
    }

    async fn ask(&self, question: &Question) -> Cached {
        let upstreams = self.upstreams.lock().clone();
        let mut refused = None;
        for upstream in upstreams.iter().cycle().take(upstreams.len() * ROUNDS) {
            let start = Instant::now();
            match self.exchange(*upstream, question).await {
                Ok(message) => {
                    self.metrics.upstream_duration.observe(start.elapsed().as_secs_f64());
                    let answer = Cached::new(message);
                    // Another upstream may do better than one that fails or does not want to.
                    if matches!(answer.response_code, ResponseCode::ServFail | ResponseCode::Refused) {
                        refused = Some(answer);
                        continue;
                    }
                    let mut cache = self.cache.lock();
                    cache.put(question.clone(), &answer, Instant::now());
                    self.metrics.cache_entries.set(cache.len() as i64);
                    return answer;
                }
                Err(error) => {
                    self.metrics.upstream_failures.inc();
                    tracing::debug!(%upstream, name = %question.name, %error, "upstream resolver failed");
                }
            }
        }
        refused.unwrap_or_else(|| Cached::failure(ResponseCode::ServFail))
    }

    async fn exchange(&self, upstream: SocketAddr, question: &Question) -> Result<Message, Error> {
        let mut request = Message::query();
        request.metadata.recursion_desired = true;
        request.metadata.checking_disabled = question.checking_disabled;
        let mut query = Query::query(question.name.clone(), question.kind);
        query.set_query_class(DNSClass::IN);
        request.add_query(query);
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_BYTES_MAX).set_dnssec_ok(question.dnssec_ok);
        request.set_edns(edns);
        let bytes = request.to_vec().map_err(|_| Error::Encode)?;
        let id = request.metadata.id;
        let _asked = Asked::new(self, id, &question.name);
        let exchange = async {
            let answer = over_udp(upstream, &bytes, id, question).await?;
            if answer.metadata.truncation { over_tcp(upstream, &bytes, id, question).await } else { Ok(answer) }
        };
        tokio::time::timeout(self.timeout, exchange).await.map_err(|_| Error::Timeout(self.timeout))?
    }
}

/// The exchange that others may have joined. However it ends, they are not left waiting: they get the answer, or their
/// senders go and they take that for a failure.
struct Turn<'a> {
    forwarder: &'a Forwarder,
    question: &'a Question,
    answer: Option<Arc<Cached>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let others = self.forwarder.waiting.lock().remove(self.question).unwrap_or_default();
        if let Some(answer) = &self.answer {
            for other in others {
                let _ = other.send(Arc::clone(answer));
            }
        }
    }
}

/// A question that is with an upstream.
struct Asked<'a> {
    forwarder: &'a Forwarder,
    key: (u16, Name),
}

impl<'a> Asked<'a> {
    fn new(forwarder: &'a Forwarder, id: u16, name: &Name) -> Self {
        let key = (id, name.to_lowercase());
        forwarder.asked.lock().insert(key.clone());
        Self { forwarder, key }
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.forwarder.asked.lock().remove(&self.key);
    }
}

async fn over_udp(upstream: SocketAddr, request: &[u8], id: u16, question: &Question) -> Result<Message, Error> {
    let any: IpAddr = if upstream.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // The kernel chooses the port at random, and a connected socket takes datagrams of the upstream alone.
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(upstream).await?;
    socket.send(request).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // What does not belong to the question may be forged: the right answer may still come.
        if let Some(answer) = read(&buffer[..length], id, question) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(upstream: SocketAddr, request: &[u8], id: u16, question: &Question) -> Result<Message, Error> {
    let mut stream = TcpStream::connect(upstream).await?;
    let length = u16::try_from(request.len()).map_err(|_| Error::Encode)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(request);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    read(&buffer, id, question).ok_or(Error::Mismatch)
}

/// The answer, if it is one to this question.
fn read(bytes: &[u8], id: u16, question: &Question) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let metadata = &message.metadata;
    let [query] = message.queries.as_slice() else { return None };
    let same = metadata.id == id
        && metadata.message_type == MessageType::Response
        && metadata.op_code == OpCode::Query
        && query.query_type() == question.kind
        && query.name().to_lowercase() == question.name;
    same.then_some(message)
}
