//! The way to an aggregated server: TLS by what its APIServices say, connections that are kept, and a bound of requests at once.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use rustls::{ClientConfig, RootCertStore};
use windlass_http::dial;
use windlass_http::pool::Pool;
use windlass_pki::{Rotating, Trust, client_config_of};

use super::api_service::Spec;
use crate::outgoing::Outgoing;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request to an aggregated server.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is there already.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> RequestBody {
    http_body_util::Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What connections depend on: APIServices that agree in it share them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TransportKey {
    server_name: String,
    insecure: bool,
    ca_bundle: String,
}

impl TransportKey {
    /// `None` for who is served here.
    pub(crate) fn of(spec: &Spec) -> Option<Self> {
        let service = spec.service.as_ref()?;
        Some(Self {
            server_name: format!("{}.{}.svc", service.name, service.namespace),
            insecure: spec.insecure_skip_tls_verify,
            ca_bundle: spec.ca_bundle.clone(),
        })
    }
}

/// Why there is no way to a server, as upstream words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("unable to load root certificates: unable to parse bytes as PEM block")]
    Bundle,
    #[error("TLS cannot be set up")]
    Tls,
}

pub(crate) struct Transport {
    pub pool: Pool<RequestBody>,
    /// For connections that are to be upgraded, which HTTP/2 has none of.
    pub http1: Arc<ClientConfig>,
    pub server_name: String,
    /// Requests to this server at once, so that one that never answers leaves room for the others.
    pub requests: Arc<Outgoing>,
}

impl Transport {
    pub(crate) fn new(
        key: &TransportKey,
        identity: Option<Arc<Rotating>>,
        requests_max: usize,
    ) -> Result<Self, TransportError> {
        let trust = match key.insecure {
            true => Trust::Anybody,
            false => Trust::Authorities(authorities(&key.ca_bundle)?),
        };
        let tls = client_config_of(trust, identity).map_err(|error| {
            tracing::warn!(%error, server = key.server_name, "TLS towards an aggregated server cannot be set up");
            TransportError::Tls
        })?;
        let mut http1 = tls.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            pool: Pool::new(Arc::new(tls), &key.server_name),
            http1: Arc::new(http1),
            server_name: key.server_name.clone(),
            requests: Outgoing::new(requests_max),
        })
    }
}

fn authorities(bundle: &str) -> Result<RootCertStore, TransportError> {
    let pem = STANDARD.decode(bundle).map_err(|_| TransportError::Bundle)?;
    dial::roots_of(&pem).ok_or(TransportError::Bundle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregation::api_service::ServiceReference;

    fn key(insecure: bool, ca_bundle: &str) -> TransportKey {
        let service = ServiceReference { namespace: "n".to_owned(), name: "s".to_owned(), port: 443 };
        let spec = Spec {
            service: Some(service),
            insecure_skip_tls_verify: insecure,
            ca_bundle: ca_bundle.to_owned(),
            ..Spec::default()
        };
        TransportKey::of(&spec).unwrap()
    }

    #[tokio::test]
    async fn bundles() {
        let certificate = rcgen::generate_simple_self_signed(vec!["s.n.svc".to_owned()]).unwrap().cert.pem();
        let pem = STANDARD.encode(format!("# ours\n{certificate}"));
        for (key, expected) in [
            (key(false, &pem), Ok("s.n.svc")),
            (key(true, ""), Ok("s.n.svc")),
            (key(false, "!"), Err(TransportError::Bundle)),
            (key(false, &STANDARD.encode("no certificate")), Err(TransportError::Bundle)),
        ] {
            let made = Transport::new(&key, None, 1);
            assert_eq!(made.as_ref().map(|transport| &*transport.server_name).map_err(|error| *error), expected);
        }
        assert_eq!(TransportKey::of(&Spec::default()), None);
    }
}
