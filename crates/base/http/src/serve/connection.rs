//! One connection: handshake, then HTTP/1.1 or HTTP/2.
//!
//! Which of the two is decided by ALPN alone, as in Go: no byte is waited for to find it out, and so each state has its deadline.
//! Cost for a request: two counters and one allocation; timers belong to the connection.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::activity::{Activity, Tracked};
use super::host;
use super::options::{Limits, Timers};
use super::places::Place;
use super::service::Service;
use crate::dial::Stream;

/// What Go's server says to a client that speaks HTTP and not TLS.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// Requests that were taken back before they were looked at, and those that were refused for what they are: a connection with more is a
/// flood (CVE-2023-44487, CVE-2025-8671) and ends.
const RESETS_UNSEEN_MAX: usize = 20;
const RESETS_OWN_MAX: usize = 1024;

/// HTTP's two versions with their bounds and timers.
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Protocols {
    pub(super) fn new(limits: &Limits, timers: &Timers) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(timers.head)
            .max_header_size(usize::try_from(limits.head_bytes_max).unwrap_or(usize::MAX));
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(timers.ping)
            .keep_alive_timeout(timers.ping_answer)
            .max_concurrent_streams(limits.streams_max)
            .max_header_list_size(limits.head_bytes_max)
            .max_pending_accept_reset_streams(RESETS_UNSEEN_MAX)
            .max_local_error_reset_streams(RESETS_OWN_MAX)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        Self { http1, http2 }
    }
}

/// What all connections of a server share.
pub(super) struct Shared<S> {
    pub(super) service: Arc<S>,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) protocols: Protocols,
    pub(super) timers: Timers,
}

/// What a connection is made of.
pub(super) struct Accepted {
    pub(super) stream: Stream,
    pub(super) address: SocketAddr,
    pub(super) place: Place,
    /// Says that the server ends.
    pub(super) stopped: watch::Receiver<()>,
    /// Dropped when the connection is done with its requests.
    pub(super) _busy: mpsc::Sender<()>,
}

/// Serves a connection to its end, or until it is upgraded.
pub(super) async fn serve_connection<S: Service>(shared: Arc<Shared<S>>, accepted: Accepted) {
    let Accepted { stream, address, mut place, stopped, _busy } = accepted;
    let (stream, client) = match (&shared.acceptor, stream) {
        (Some(acceptor), Stream::Plain(stream)) => {
            let handshake = tokio::time::timeout(shared.timers.handshake, handshake(acceptor, stream));
            let stream = tokio::select! {
                result = handshake => result,
                () = place.lost() => return,
            };
            let Ok(Some(stream)) = stream else { return };
            let client = shared.service.identify(address, stream.get_ref().1.peer_certificates());
            (Stream::from(stream), client)
        }
        (_, stream) => (stream, shared.service.identify(address, None)),
    };
    if !place.confirm(shared.service.is_privileged(&client)) {
        return tracing::debug!(%address, "a connection too many was closed");
    }
    let is_http2 = matches!(&stream, Stream::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2"));
    let activity = Arc::<Activity>::default();
    let (requests, handler) = (activity.clone(), shared.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let under_way = requests.begin();
        let (service, client) = (handler.service.clone(), client.clone());
        let is_headers_only = request.method() == http::Method::HEAD;
        // Boxed, for hyper and tokio move it several times before it runs.
        Box::pin(async move {
            let response = match host::refusal(&request) {
                Some(refusal) => refusal.map(Either::Right),
                None => service.answer(client, request).await.map(Either::Left),
            };
            Ok::<_, Infallible>(response.map(|body| Tracked { body, is_headers_only, _under_way: under_way }))
        })
    });
    let io = TokioIo::new(Placed { stream, _place: place });
    let result = if is_http2 {
        drive(shared.protocols.http2.serve_connection(io, service), &activity, &shared.timers, stopped).await
    } else {
        let connection = shared.protocols.http1.serve_connection(io, service).with_upgrades();
        drive(connection, &activity, &shared.timers, stopped).await
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn handshake(acceptor: &TlsAcceptor, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    // Looked at before TLS sees it, for TLS answers what it does not understand with an alert that no HTTP client understands.
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    if first[0].is_ascii_uppercase() {
        // Whoever has gone has lost nothing. What is left unread when a connection is closed makes the kernel take the answer back.
        let _ = stream.try_read(&mut [0; 4096]);
        let _ = stream.write_all(NOT_TLS).await;
        return None;
    }
    match acceptor.accept(stream).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
    }
}

/// A connection of either version.
trait Connection: Future<Output = hyper::Result<()>> {
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl<I, B, S> Connection for http1::UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

impl<I, B, S, E> Connection for http2::Connection<I, S, E>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

/// Drives a connection, asks it to end when it is idle or the server ends, and ends it when it does not.
async fn drive(
    connection: impl Connection,
    activity: &Activity,
    timers: &Timers,
    mut stopped: watch::Receiver<()>,
) -> hyper::Result<()> {
    tokio::pin!(connection);
    let idle = tokio::time::sleep(timers.idle);
    tokio::pin!(idle);
    let mut begun = activity.begun();
    let is_idle = loop {
        tokio::select! {
            biased;
            result = &mut connection => return result,
            // An error is the end of the server too.
            _ = stopped.changed() => break false,
            () = &mut idle => {
                if activity.is_idle_since(begun) {
                    break true;
                }
                begun = activity.begun();
                idle.as_mut().reset(tokio::time::Instant::now() + timers.idle);
            }
        }
    };
    connection.as_mut().graceful_shutdown();
    if is_idle {
        return tokio::time::timeout(timers.drain, connection).await.unwrap_or(Ok(()));
    }
    connection.await
}

/// A stream that keeps its place for as long as it is open, also when it is no longer HTTP.
struct Placed {
    stream: Stream,
    _place: Place,
}

impl AsyncRead for Placed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
