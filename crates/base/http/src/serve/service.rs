//! What a server has to say for itself.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Who is at the other end of a connection, found out once for all of its requests.
    type Client: Clone + Send + Sync + 'static;
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + Unpin + 'static;

    /// Says who is there, by the address and by the chain of certificates that it has shown (whose key it has), its own first.
    fn identify(&self, address: SocketAddr, certificates: Option<&[CertificateDer<'static>]>) -> Self::Client;

    /// Whether this client may have a place when there are none left for others.
    fn is_privileged(&self, _: &Self::Client) -> bool {
        false
    }

    fn answer(
        self: Arc<Self>,
        client: Self::Client,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}
