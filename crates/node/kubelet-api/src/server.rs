//! Who is at the other end of a connection. How connections are served is [`windlass_http`]'s matter.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use windlass_api::well_known::group;
use windlass_http::serve::{self, Listener, Service, Timers};

use crate::answer::Frontend;
use crate::auth::User;
use crate::options::Options;
use crate::respond::Body;

/// How long requests may take to finish when the node shuts down.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the API until `shutdown`. Sessions end with their clients, or with the process.
pub async fn serve(options: Options, shutdown: impl Future<Output = ()>) {
    let Options { socket, tls, limits, verifier, node, runtime, client, clock, metrics, system_logs } = options;
    let frontend = Arc::new(Frontend::new(verifier, node, runtime, client, clock, metrics, system_logs));
    let timers = Timers { drain: DRAIN_TIMEOUT, ..Timers::default() };
    serve::serve(frontend, Listener { socket: socket.into(), tls: Some(tls), limits, timers }, shutdown).await;
}

impl Service for Frontend {
    /// Who the certificate says.
    type Client = Option<Arc<User>>;
    type Body = Body;

    fn identify(&self, _: SocketAddr, certificates: Option<&[CertificateDer<'static>]>) -> Self::Client {
        certificates.and_then(|chain| self.gate.by_certificate(chain)).map(Arc::new)
    }

    /// The API server is, so that no flood from the network keeps it from the node.
    fn is_privileged(&self, client: &Self::Client) -> bool {
        client.as_ref().is_some_and(|user| user.groups.iter().any(|group| group == group::MASTERS))
    }

    async fn answer(self: Arc<Self>, client: Self::Client, request: Request<Incoming>) -> Response<Body> {
        self.respond(client.as_deref(), request).await
    }
}
