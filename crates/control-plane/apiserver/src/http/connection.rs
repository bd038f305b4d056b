//! Who is at the other end of a connection, and what its requests go to. How connections are served is [`windlass_http`]'s matter.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use windlass_api::well_known::group;
use windlass_http::serve::{self, Limits, Service, Timers};

use super::frontend::Frontend;
use super::identity::Peer;
use crate::message::response::Body;

/// Requests at a time in one HTTP/2 connection, as kube-apiserver allows; Go's clients open another connection for more.
const STREAMS_MAX: u32 = 100;

/// Says who shows a chain of certificates, the client's own first.
pub type PeerUser = Arc<dyn Fn(&[CertificateDer<'_>]) -> Peer + Send + Sync>;

/// Where to listen, and how.
pub struct Listener {
    pub socket: TcpListener,
    /// Asks for client certificates and makes sure that clients have the keys of those that they show.
    pub tls: Arc<rustls::ServerConfig>,
    pub peer_user: PeerUser,
    pub limits: Limits,
}

/// Accepts connections until `shutdown`, then lets requests finish.
pub async fn serve(frontend: Arc<Frontend>, listener: Listener, shutdown: impl Future<Output = ()>) {
    let Listener { socket, tls, peer_user, limits } = listener;
    let limits = Limits { streams_max: STREAMS_MAX, ..limits };
    let listener = serve::Listener { socket: socket.into(), tls: Some(tls), limits, timers: Timers::default() };
    serve::serve(Arc::new(Public { frontend, peer_user }), listener, shutdown).await;
}

/// Where a request has come from.
#[derive(Clone, Copy)]
pub(super) struct ClientAddress(pub IpAddr);

/// The server's face to everybody.
struct Public {
    frontend: Arc<Frontend>,
    peer_user: PeerUser,
}

impl Service for Public {
    type Client = (Peer, ClientAddress);
    type Body = Body;

    fn identify(&self, address: SocketAddr, certificates: Option<&[CertificateDer<'static>]>) -> Self::Client {
        let peer = certificates.map(|chain| (self.peer_user)(chain)).unwrap_or_default();
        (peer, ClientAddress(address.ip()))
    }

    fn is_privileged(&self, (peer, _): &Self::Client) -> bool {
        matches!(peer, Peer::User(user) if user.is_in(group::MASTERS))
    }

    async fn answer(self: Arc<Self>, (peer, address): Self::Client, mut request: Request<Incoming>) -> Response<Body> {
        request.extensions_mut().insert(address);
        self.frontend.answer(peer, request).await
    }
}
