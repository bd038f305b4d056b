//! Accepting, until the end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use super::connection::{Accepted, Protocols, Shared, serve_connection};
use super::options::Listener;
use super::places::Places;
use super::service::Service;

/// How long to wait when the machine has no descriptor or memory for a connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until `shutdown`, then lets requests finish.
pub async fn serve<S: Service>(service: Arc<S>, listener: Listener, shutdown: impl Future<Output = ()>) {
    let Listener { socket, tls, limits, timers } = listener;
    let places = Places::new(limits.clone());
    let drain = timers.drain;
    let protocols = Protocols::new(&limits, &timers);
    let shared = Arc::new(Shared { service, acceptor: tls.map(TlsAcceptor::from), protocols, timers });
    let (stop, stopped) = watch::channel(());
    let (busy, mut all_done) = mpsc::channel(1);
    tokio::pin!(shutdown);
    loop {
        let (stream, address) = tokio::select! {
            accepted = socket.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: connections that end will free some.
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let Some(place) = places.take(address.ip()) else {
            tracing::debug!(%address, "a connection too many was closed");
            continue;
        };
        let accepted = Accepted { stream, address, place, stopped: stopped.clone(), _busy: busy.clone() };
        tokio::spawn(serve_connection(shared.clone(), accepted));
    }
    drop((socket, busy, shared));
    stop.send_replace(());
    let _ = tokio::time::timeout(drain, all_done.recv()).await;
}
