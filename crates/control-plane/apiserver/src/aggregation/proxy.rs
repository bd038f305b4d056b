//! Carries a request to an aggregated server and its answer back, upgrades included.
//!
//! The server learns who asks by the headers of a front proxy, and that it is us by our certificate; what the client itself has shown
//! goes no further.
//! Source: kube-aggregator `apiserver/handler_proxy.go`, apimachinery `util/proxy`.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use windlass_api::Status;
use windlass_auth::User;
use windlass_http::exchange::ExchangeError;
use windlass_http::pool::{DIAL_TIMEOUT, HANDSHAKE_TIMEOUT};
use windlass_http::{dial, header};

use super::ending::Ending;
use super::headers;
use super::routes::Remote;
use super::server::Aggregation;
use super::transport::{RequestBody, Transport};
use crate::http::path;
use crate::http::relay::{held, is_upgrade, keep_only_upgrade, passed_on, remove_hop_by_hop, remove_identity, tunnel};
use crate::http::response::{Body, finish, words};
use crate::outgoing::Permit;

/// Discovery is cheap everywhere, and clients that ask every server wait for the slowest.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A request of a user who may make it.
pub(crate) struct Asked<'a> {
    pub user: &'a User,
    /// Where the client is; unknown for who is in this process.
    pub client: Option<IpAddr>,
    /// When the answer has to be complete; a watch has no such time.
    pub deadline: Option<Instant>,
}

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
    pub(super) fn permits(&self, transport: &Transport, user: &User) -> Result<(Permit, Permit), Status> {
        Ok((self.requests.take(user)?, transport.requests.take(user)?))
    }
}

/// An answer in words, as Go's `http.Error` gives it.
fn refused(code: StatusCode, why: &dyn Display) -> Response<Body> {
    finish(words(code, format!("{why}\n")))
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

/// Adds the client to those that the request has come from.
fn add_client(headers: &mut HeaderMap, client: Option<IpAddr>) -> Result<(), Status> {
    const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    let Some(client) = client else { return Ok(()) };
    let mut all = header::list(headers, &FORWARDED_FOR);
    all.push(client.to_canonical().to_string());
    headers.insert(FORWARDED_FOR, HeaderValue::from_str(&all.join(", ")).map_err(Status::internal)?);
    Ok(())
}

/// The server's answer as the client gets it.
fn hand_back(answer: Response<Incoming>, address: &str) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    parts.version = http::Version::default();
    remove_hop_by_hop(&mut parts.headers);
    if let Some(location) = header::first(&parts.headers, &LOCATION)
        && let Some(moved) = at_server(&location, address)
    {
        parts.headers.insert(LOCATION, moved);
    }
    Response::from_parts(parts, passed_on(body))
}

/// Where a redirect leads that names no server: to the one that gave it.
fn at_server(location: &str, address: &str) -> Option<HeaderValue> {
    let uri: Uri = location.parse().ok()?;
    let is_own = uri.authority().is_none_or(|authority| authority.as_str() == address);
    let path = uri.path_and_query()?.as_str();
    if !is_own || !path.starts_with('/') {
        return None;
    }
    HeaderValue::from_str(&format!("https://{address}{path}")).ok()
}

/// An answer that ends at its deadline, complete or not.
fn until(answer: Response<Body>, deadline: Option<Instant>) -> Response<Body> {
    let Some(deadline) = deadline else { return answer };
    answer.map(|body| Ending::new(body, deadline).boxed())
}

/// Asks the server to speak something else on the connection, and then hands bytes to and fro.
async fn upgrade(
    transport: &Arc<Transport>,
    (host, port): (&str, u16),
    asked: &Asked<'_>,
    mut request: Request<Incoming>,
    permits: (Permit, Permit),
) -> Result<Response<Body>, Status> {
    let client = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    parts.version = http::Version::HTTP_11;
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|_| Status::bad_request("invalid path"))?;
    remove_identity(&mut parts.headers);
    keep_only_upgrade(&mut parts.headers);
    headers::set(&mut parts.headers, asked.user)?;
    add_client(&mut parts.headers, asked.client)?;
    let address = HeaderValue::from_str(&dial::join(host, port)).map_err(Status::internal)?;
    parts.headers.insert(HOST, address);
    let failed = |error: &dyn Display| {
        Ok(refused(StatusCode::SERVICE_UNAVAILABLE, &format_args!("error dialing backend: {error}")))
    };
    let stream = async {
        let stream = dial::tcp(host, port, DIAL_TIMEOUT).await?;
        dial::tls(transport.http1.clone(), &transport.server_name, stream, HANDSHAKE_TIMEOUT).await
    };
    let stream = match stream.await {
        Ok(stream) => stream,
        Err(error) => return failed(&error),
    };
    let (mut sender, driver) = match dial::http1(stream.into()).await {
        Ok(http) => http,
        Err(error) => return failed(&error),
    };
    driver.detach();
    let sent = sender.send_request(Request::from_parts(parts, body));
    let answer = match tokio::time::timeout(HANDSHAKE_TIMEOUT, sent).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Ok(refused(StatusCode::SERVICE_UNAVAILABLE, &ExchangeError::of(&error))),
        Err(_) => return Ok(refused(StatusCode::SERVICE_UNAVAILABLE, &ExchangeError::Deadline)),
    };
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => Ok(tunnel(client, answer, permits)),
        code if code.is_client_error() || code.is_server_error() => {
            let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
            Ok(held(until(hand_back(answer, ""), Some(deadline)), permits))
        }
        code => {
            let why = format!("invalid upgrade response: status code {}", code.as_u16());
            Ok(refused(StatusCode::SERVICE_UNAVAILABLE, &why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_the_server_that_gave_them() {
        for (location, expected) in [
            ("/a?b=c", Some("https://10.0.0.1:443/a?b=c")),
            ("http://10.0.0.1:443/a", Some("https://10.0.0.1:443/a")),
            ("https://elsewhere/a", None),
            ("a/b", None),
            ("http://[", None),
        ] {
            let moved = at_server(location, "10.0.0.1:443");
            assert_eq!(moved.as_ref().map(header::text).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn the_client_is_added_to_those_before() {
        let mut headers = HeaderMap::new();
        add_client(&mut headers, None).unwrap();
        assert!(headers.is_empty());
        add_client(&mut headers, Some("::ffff:10.0.0.9".parse().unwrap())).unwrap();
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
        add_client(&mut headers, Some("fd00::1".parse().unwrap())).unwrap();
        assert_eq!(headers["x-forwarded-for"], "10.0.0.9, fd00::1");
    }
}
