//! Carries a request to an aggregated server and its answer back, upgrades included.
//!
//! The server learns who asks by the headers of a front proxy, and that it is us by our certificate; what the client itself has shown
//! goes no further.
//! Source: kube-aggregator `apiserver/handler_proxy.go`, apimachinery `util/proxy`.

use std::time::Duration;

use http::header::{HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use windlass_api::Status;
use windlass_auth::User;
use windlass_http::dial;
use windlass_http::exchange::ExchangeError;

use super::forwarding::{Asked, add_client, hand_back, refused, until};
use super::headers;
use super::routes::Remote;
use super::server::Aggregation;
use super::transport::{RequestBody, Transport};
use super::upgrade::upgrade;
use crate::message::path;
use crate::message::relay::{held, is_upgrade, remove_hop_by_hop, remove_identity};
use crate::message::response::Body;
use crate::outgoing::Permit;

/// Discovery is cheap everywhere, and clients that ask every server wait for the slowest.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5);

impl Aggregation {
    /// Hands a request to the server that serves it, and back what that says. Failures are words and no Status, as upstream's are.
    pub(crate) async fn proxy(
        &self,
        remote: &Remote,
        asked: &Asked<'_>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Status> {
        if !remote.is_available {
            return Ok(unavailable());
        }
        let transport = match &remote.transport {
            Ok(transport) => transport,
            Err(error) => return Ok(refused(StatusCode::INTERNAL_SERVER_ERROR, error)),
        };
        let permits = self.permits(transport, asked.user)?;
        let Ok((host, port)) = self.endpoint(&remote.service) else { return Ok(unavailable()) };
        let address = dial::join(&host, port);
        if is_upgrade(request.headers()) {
            return upgrade(transport, (&host, port), asked, request, permits).await;
        }
        let (request, deadline) = outgoing(asked, request, &address)?;
        let sent = transport.pool.send(request);
        let answer = match deadline {
            Some(deadline) => timeout_at(deadline, sent).await.unwrap_or(Err(ExchangeError::Deadline)),
            None => sent.await,
        };
        Ok(match answer {
            Ok(answer) => held(until(hand_back(answer, &address), deadline), permits),
            Err(error) => {
                refused(StatusCode::SERVICE_UNAVAILABLE, &format_args!("error trying to reach service: {error}"))
            }
        })
    }

    /// The right to one more request, of all and of those to this server.
    pub(crate) fn permits(&self, transport: &Transport, user: &User) -> Result<(Permit, Permit), Status> {
        Ok((self.requests.take(user)?, transport.requests.take(user)?))
    }
}

fn unavailable() -> Response<Body> {
    refused(StatusCode::SERVICE_UNAVAILABLE, &"service unavailable")
}

/// The request as the server gets it, and until when its answer has to be there.
fn outgoing(
    asked: &Asked<'_>,
    request: Request<Incoming>,
    address: &str,
) -> Result<(Request<RequestBody>, Option<Instant>), Status> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    let is_discovery = path::parse(path).is_none() && path.trim_matches('/').split('/').count() == 3;
    let soon = is_discovery.then(|| Instant::now() + DISCOVERY_TIMEOUT);
    let deadline = [asked.deadline, soon].into_iter().flatten().min();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = format!("https://{address}{path}").parse().map_err(|_| Status::bad_request("invalid path"))?;
    parts.version = http::Version::default();
    parts.extensions = http::Extensions::new();
    forwarded(&mut parts.headers, &parts.uri, asked)?;
    let body = body.map_err(Into::into).boxed_unsync();
    Ok((Request::from_parts(parts, body), deadline))
}

/// Puts the headers right that say who asks, and on which way.
fn forwarded(headers: &mut HeaderMap, uri: &Uri, asked: &Asked<'_>) -> Result<(), Status> {
    remove_identity(headers);
    remove_hop_by_hop(headers);
    headers.remove(HOST);
    headers::set(headers, asked.user)?;
    let host = uri.authority().map_or("", |authority| authority.as_str());
    for (name, text) in [("x-forwarded-uri", uri.path()), ("x-forwarded-host", host), ("x-forwarded-proto", "https")] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(text).map_err(Status::internal)?);
    }
    add_client(headers, asked.client)
}
