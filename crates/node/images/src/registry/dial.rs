//! Connections to registries, through proxies where the configuration names some.
//!
//! [`Connector`] is what hyper's client calls for a new connection. How one is made is [`windlass_http::dial`]'s matter.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;
use windlass_api::text::with_causes;
use windlass_http::Kept;
use windlass_http::dial::{self, DialError};

/// Makes connections for hyper's client.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) proxy: Arc<Matcher>,
    pub(super) dial_timeout: Duration,
}

impl Service<Uri> for Connector {
    type Response = Kept;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<Kept, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(uri).await })
    }
}

impl Connector {
    async fn connect(&self, uri: Uri) -> Result<Kept, DialError> {
        let is_https = uri.scheme_str() == Some("https");
        let proxy = self.proxy.intercept(&uri);
        let (io, proxied) = match &proxy {
            None => (self.tcp(&uri).await?, false),
            // Requests in plain text are sent to the proxy as they are.
            Some(proxy) if !is_https => (self.tcp(proxy.uri()).await?, true),
            Some(proxy) => (self.tunnel(proxy, uri.clone()).await?, false),
        };
        if !is_https {
            let plain = Kept::plain(io);
            return Ok(if proxied { plain.proxied() } else { plain });
        }
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Kept::secured(dial::tls(self.tls.clone(), host, io, self.dial_timeout).await?))
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

/// hyper's client wants a future that it can name.
const _: fn() = || {
    fn is_future<T: Future + Send>() {}
    is_future::<<Connector as Service<Uri>>::Future>();
};
