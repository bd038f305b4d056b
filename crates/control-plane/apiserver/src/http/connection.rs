//! Connections: TLS, then HTTP/1.1 or HTTP/2 as the client prefers.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::service::{Frontend, Peer};

/// A client has this long to finish its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// At shutdown, requests under way have this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Says who shows a chain of certificates, the client's own first.
pub type PeerUser = Arc<dyn Fn(&[CertificateDer<'_>]) -> Peer + Send + Sync>;

/// Where to listen, and how.
pub struct Listener {
    pub socket: TcpListener,
    /// Asks for client certificates and makes sure that clients have the keys of those that they show.
    pub tls: Arc<rustls::ServerConfig>,
    pub peer_user: PeerUser,
}

/// Accepts connections until `shutdown`, then lets requests finish.
pub async fn serve(frontend: Arc<Frontend>, listener: Listener, shutdown: impl Future<Output = ()>) {
    let Listener { socket, tls, peer_user } = listener;
    let acceptor = TlsAcceptor::from(tls);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .max_concurrent_streams(1000)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let builder = Arc::new(builder);
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let stream = tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end will free some.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, builder, frontend, peer_user) =
            (acceptor.clone(), builder.clone(), frontend.clone(), peer_user.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => return,
            };
            let peer = stream.get_ref().1.peer_certificates().map(|chain| peer_user(chain)).unwrap_or_default();
            let service = service_fn(move |request| {
                // Boxed, for hyper and tokio move it several times before it runs.
                Box::pin(frontend.clone().answer(peer.clone(), request)).map(Ok::<_, Infallible>)
            });
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection.into_owned()).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(socket);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
}
