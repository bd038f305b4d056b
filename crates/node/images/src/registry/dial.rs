//! Connections to registries, through proxies where the configuration names some.
//!
//! [`Connector`] is what hyper's client calls for a new connection. How one is made is [`windlass_http::dial`]'s matter.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tower_service::Service;
use windlass_api::text::with_causes;
use windlass_http::dial::{self, DialError};

/// Makes connections for hyper's client.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) proxy: Arc<Matcher>,
    pub(super) dial_timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Stream, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await })
    }
}

impl Connector {
    async fn connect(&self, uri: Uri) -> Result<Stream, DialError> {
        let is_https = uri.scheme_str() == Some("https");
        let proxy = self.proxy.intercept(&uri);
        let (io, proxied) = match &proxy {
            None => (self.tcp(&uri).await?, false),
            // Requests in plain text are sent to the proxy as they are.
            Some(proxy) if !is_https => (self.tcp(proxy.uri()).await?, true),
            Some(proxy) => (self.tunnel(proxy, uri.clone()).await?, false),
        };
        if !is_https {
            return Ok(Stream { io: TokioIo::new(Box::new(io)), proxied });
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let secured = dial::tls(self.tls.clone(), host, io, self.dial_timeout).await?;
        Ok(Stream { io: TokioIo::new(Box::new(secured)), proxied: false })
    }

    async fn tcp(&self, uri: &Uri) -> Result<TcpStream, DialError> {
        let host = uri.host().ok_or_else(|| DialError::Address(uri.to_string()))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        dial::tcp(host, port, self.dial_timeout).await
    }

    async fn tunnel(
        &self,
        proxy: &hyper_util::client::proxy::matcher::Intercept,
        target: Uri,
    ) -> Result<TcpStream, DialError> {
        let connector = self.clone();
        let dialer = ProxyDialer(connector);
        let mut tunnel = Tunnel::new(proxy.uri().clone(), dialer);
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        match tokio::time::timeout(self.dial_timeout, tunnel.call(target)).await {
            Ok(Ok(io)) => Ok(io.into_inner()),
            Ok(Err(error)) => Err(DialError::Proxy(with_causes(&error))),
            Err(_) => Err(DialError::Proxy("i/o timeout".to_owned())),
        }
    }
}

/// The TCP part of a [`Connector`], for the tunnel to its proxy.
#[derive(Clone)]
struct ProxyDialer(Connector);

impl Service<Uri> for ProxyDialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<TokioIo<TcpStream>, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.0.clone();
        Box::pin(async move { connector.tcp(&uri).await.map(TokioIo::new) })
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection in the form that hyper's client keeps.
pub(super) struct Stream {
    io: TokioIo<Box<dyn Io>>,
    /// Requests on it name the whole address, for a proxy reads them.
    proxied: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// hyper's client wants a future that it can name.
const _: fn() = || {
    fn is_future<T: Future + Send>() {}
    is_future::<<Connector as Service<Uri>>::Future>();
};
