//! HTTP on a connection that was dialled.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::JoinHandle;

use super::Stream;
use crate::exchange::ExchangeError;
use crate::interim::{HEAD_BYTES_MAX, bounded};

/// How often the other end is asked whether it is there, and how long it may take to say so; client-go's figures.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// The task that carries a connection. Dropping it ends the connection.
#[derive(Debug)]
pub struct Driver(Option<JoinHandle<()>>);

impl Driver {
    fn spawn(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        Self(Some(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        })))
    }

    /// Lets the connection live for as long as somebody uses it.
    pub fn detach(mut self) {
        self.0 = None;
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The way to send requests in HTTP/1.1, one after the other.
#[derive(Debug)]
pub struct Sender<B>(http1::SendRequest<B>);

impl<B: Body + 'static> Sender<B> {
    /// Sends a request, and returns the head of the answer.
    pub async fn send_request(&mut self, request: Request<B>) -> Result<Response<Incoming>, ExchangeError> {
        bounded(request, |request| self.0.send_request(request)).await
    }
}

/// Speaks HTTP/1.1, which may be upgraded.
pub async fn http1<B>(stream: Stream) -> Result<(Sender<B>, Driver), ExchangeError>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|error| ExchangeError::of(&error))?;
    Ok((Sender(sender), Driver::spawn(connection.with_upgrades())))
}

/// Speaks HTTP/2, and notices when the other end has gone without a word.
pub async fn http2<B>(stream: Stream) -> Result<(http2::SendRequest<B>, Driver), ExchangeError>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static,
{
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(|error| ExchangeError::of(&error))?;
    Ok((sender, Driver::spawn(connection)))
}
