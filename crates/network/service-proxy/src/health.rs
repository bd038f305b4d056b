//! What load balancers ask a node: does this Service have an endpoint here (`healthCheckNodePort`), and does the proxy work?
//!
//! The answers are upstream's (pkg/proxy/healthcheck), because load balancers and people read them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use windlass_api::ObjectKey;
use windlass_api::time::{Clock, rfc3339_nano};
use windlass_dataplane::Netns;
use windlass_http::serve::{self, Limits, Listener, Service, Timers};

/// A change that waits longer than this makes the proxy unhealthy: upstream's twice the sync period.
const PENDING_MAX: Duration = Duration::from_secs(60);
/// Load balancers ask every few seconds; whoever asks slower than this is not one.
const REQUEST_MAX: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 64;

/// Whether the proxy keeps up with changes.
#[derive(Debug)]
pub struct ProxyHealth {
    clock: Clock,
    state: Mutex<ProxyState>,
}

#[derive(Debug)]
struct ProxyState {
    last_updated: Timestamp,
    oldest_pending: Option<Timestamp>,
    node_eligible: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProxyAnswer {
    last_updated: String,
    current_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_eligible: Option<bool>,
    healthy: bool,
}

impl ProxyHealth {
    pub(crate) fn new(clock: Clock) -> Self {
        let state = ProxyState { last_updated: clock.now(), oldest_pending: None, node_eligible: true };
        Self { clock, state: Mutex::new(state) }
    }

    pub(crate) fn queued(&self) {
        let now = self.clock.now();
        self.state.lock().oldest_pending.get_or_insert(now);
    }

    pub(crate) fn updated(&self) {
        let mut state = self.state.lock();
        state.oldest_pending = None;
        state.last_updated = self.clock.now();
    }

    /// Whether the node may get traffic from load balancers: not while it is being removed.
    pub(crate) fn set_node_eligible(&self, eligible: bool) {
        self.state.lock().node_eligible = eligible;
    }

    pub fn is_healthy(&self) -> bool {
        let late = |since: Timestamp| self.clock.now().duration_since(since).unsigned_abs() >= PENDING_MAX;
        !self.state.lock().oldest_pending.is_some_and(late)
    }

    /// Status and body of `/healthz` and `/livez`; `None` for other paths.
    pub fn answer(&self, path: &str) -> Option<(u16, String)> {
        let healthy = self.is_healthy();
        let state = self.state.lock();
        let (good, node_eligible) = match path {
            "/healthz" => (healthy && state.node_eligible, Some(state.node_eligible)),
            "/livez" => (healthy, None),
            _ => return None,
        };
        let now = self.clock.now();
        let answer = ProxyAnswer {
            // As upstream: a healthy proxy is up to date, even if nothing changed for long.
            last_updated: rfc3339_nano(if good { now } else { state.last_updated }),
            current_time: rfc3339_nano(now),
            node_eligible,
            healthy,
        };
        Some((if good { 200 } else { 503 }, serde_json::to_string(&answer).unwrap_or_default()))
    }
}

/// What a Service's port answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) port: u16,
    pub(crate) local_endpoints: usize,
}

/// A listener for each Service that has a `healthCheckNodePort`.
#[derive(Debug)]
pub(crate) struct ServiceHealth {
    netns: Arc<Netns>,
    proxy: Arc<ProxyHealth>,
    servers: Mutex<HashMap<ObjectKey, Server>>,
}

#[derive(Debug)]
struct Server {
    port: u16,
    local_endpoints: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ServiceHealth {
    pub(crate) fn new(netns: Arc<Netns>, proxy: Arc<ProxyHealth>) -> Self {
        Self { netns, proxy, servers: Mutex::new(HashMap::new()) }
    }

    /// Opens, closes and updates listeners. A port that cannot be opened is tried again with the next change.
    pub(crate) fn sync(&self, wanted: &HashMap<ObjectKey, Wanted>) {
        let mut servers = self.servers.lock();
        servers.retain(|service, server| wanted.get(service).is_some_and(|wanted| wanted.port == server.port));
        for (service, wanted) in wanted {
            if let Some(server) = servers.get(service) {
                *server.local_endpoints.lock() = wanted.local_endpoints;
                continue;
            }
            match self.open(service, *wanted) {
                Ok(server) => drop(servers.insert(service.clone(), server)),
                Err(error) => {
                    tracing::error!(%service, port = wanted.port, %error, "failed to start health check of service");
                }
            }
        }
    }

    fn open(&self, service: &ObjectKey, wanted: Wanted) -> io::Result<Server> {
        let local_endpoints = Arc::new(Mutex::new(wanted.local_endpoints));
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), wanted.port);
        let listener = self.netns.run(|| std::net::TcpListener::bind(address))??;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let (service, proxy, count) = (service.clone(), Arc::clone(&self.proxy), Arc::clone(&local_endpoints));
        let task = tokio::spawn(serve(listener, move |_path| {
            let count = *count.lock();
            Some((service_answer(&service, count, proxy.is_healthy()), Some(count)))
        }));
        Ok(Server { port: wanted.port, local_endpoints, task })
    }
}

fn service_answer(service: &ObjectKey, count: usize, proxy_healthy: bool) -> (u16, String) {
    let ObjectKey { namespace, name } = service;
    let body = format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"{namespace}\",\n\t\t\"name\": \"{name}\"\n\t}},\n\t\"localEndpoints\": {count},\n\t\"serviceProxyHealthy\": {proxy_healthy}\n}}"
    );
    (if count > 0 && proxy_healthy { 200 } else { 503 }, body)
}

/// Serves `/healthz` and `/livez` (upstream's port 10256) until the future is dropped.
pub async fn serve_proxy_health(listener: TcpListener, health: Arc<ProxyHealth>) {
    serve(listener, move |path| Some((health.answer(path)?, None))).await;
}

/// Answers every request with what `answer` says of its path: status and body, and the number of endpoints for the header.
async fn serve(
    socket: TcpListener,
    answer: impl Fn(&str) -> Option<((u16, String), Option<usize>)> + Send + Sync + 'static,
) {
    let limits = Limits {
        connections_max: CONNECTIONS_MAX,
        connections_per_address_max: CONNECTIONS_MAX / 4,
        reserve: CONNECTIONS_MAX / 16,
        ..Limits::default()
    };
    let timers = Timers { head: REQUEST_MAX, ..Timers::default() };
    serve::serve(
        Arc::new(Answers(answer)),
        Listener { socket: socket.into(), tls: None, limits, timers },
        std::future::pending(),
    )
    .await;
}

struct Answers<A>(A);

impl<A> Service for Answers<A>
where
    A: Fn(&str) -> Option<((u16, String), Option<usize>)> + Send + Sync + 'static,
{
    type Client = ();
    type Body = Full<Bytes>;

    fn identify(&self, _: SocketAddr, _: Option<&[CertificateDer<'static>]>) {}

    async fn answer(self: Arc<Self>, (): (), request: Request<Incoming>) -> Response<Full<Bytes>> {
        respond((self.0)(request.uri().path()))
    }
}

fn respond(answer: Option<((u16, String), Option<usize>)>) -> Response<Full<Bytes>> {
    let Some(((status, body), weight)) = answer else {
        let mut response = Response::new(Full::from("404 page not found\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    headers.insert("x-content-type-options", hyper::header::HeaderValue::from_static("nosniff"));
    if let Some(weight) = weight {
        headers.insert("x-load-balancing-endpoint-weight", weight.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_that_waits_too_long_is_unhealthy() {
        let clock = Clock::paused("2026-11-21T06:20:00Z".parse().unwrap());
        let health = ProxyHealth::new(clock);
        health.queued();
        tokio::time::advance(Duration::from_secs(40)).await;
        health.queued();
        assert_eq!(health.answer("/healthz").unwrap().0, 200);
        tokio::time::advance(Duration::from_secs(20)).await;
        let (status, body) = health.answer("/livez").unwrap();
        assert_eq!(status, 503);
        assert_eq!(
            body,
            r#"{"lastUpdated":"2026-11-21T06:20:00Z","currentTime":"2026-11-21T06:21:00Z","healthy":false}"#
        );
        health.updated();
        health.set_node_eligible(false);
        assert_eq!((health.answer("/healthz").unwrap().0, health.answer("/livez").unwrap().0), (503, 200));
        assert_eq!(health.answer("/metrics"), None);
    }

    #[test]
    fn the_answer_of_a_service_is_upstreams() {
        let (status, body) = service_answer(&ObjectKey::new("ns", "web"), 2, true);
        assert_eq!(status, 200);
        assert_eq!(
            body,
            "{\n\t\"service\": {\n\t\t\"namespace\": \"ns\",\n\t\t\"name\": \"web\"\n\t},\n\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}"
        );
        assert_eq!(service_answer(&ObjectKey::new("ns", "web"), 0, true).0, 503);
    }
}
