//! Carries a request to another server and its answer back, upgrades included.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
    TRANSFER_ENCODING,
};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use rustls::pki_types::CertificateDer;
use windlass_api::Status;
use windlass_api::status::Reason;
use windlass_api::well_known::{group, user};
use windlass_http::dial::{self, DialError, Stream};
use windlass_http::exchange::ExchangeError;
use windlass_http::header;
use windlass_http::pool::{DIAL_TIMEOUT, HANDSHAKE_TIMEOUT};
use windlass_pki::client_identity;

use crate::message::path::ResourcePath;
use crate::message::relay::{
    held, is_upgrade, keep_only_upgrade, passed_on, remove_hop_by_hop, remove_identity, tunnel,
};
use crate::message::response::{Body, full};
use crate::server::Server;
use crate::subresources::target::{Purpose, Security, Target, is_proxyable, not_allowed};

/// The largest page whose links are rewritten.
const HTML_MAX: usize = 16 << 20;

/// As much of a kubelet's refusal as is read.
const REFUSAL_BYTES_MAX: usize = 50_000;

/// A proxied folder without a slash at its end would make relative links of its pages go wrong.
pub(super) fn redirect_to_folder(found: &ResourcePath, request: &Request<Incoming>) -> Option<Response<Body>> {
    let path = request.uri().path();
    if !found.rest.is_empty() || path.ends_with('/') || !matches!(request.method().as_str(), "GET" | "HEAD") {
        return None;
    }
    if is_upgrade(request.headers()) {
        return None;
    }
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, HeaderValue::from_str(&format!("{path}/{query}")).ok()?);
    Some(response)
}

/// Asks the target what the client asks, and answers with what it answers.
pub(super) async fn forward(
    server: &Arc<Server>,
    target: Target,
    permit: impl Send + Sync + 'static,
    request: Request<Incoming>,
) -> Result<Response<Body>, Status> {
    let broken = |error: ExchangeError| unreachable(&target, &error);
    let stream = connect(server, &target).await?;
    let (mut sender, driver) = dial::http1(stream).await.map_err(|error| unreachable(&target, &error))?;
    driver.detach();
    let (outgoing, client) = outgoing(&target, request)?;
    let answer = sender.send_request(outgoing).await.map_err(broken)?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(tunnel(client, answer, permit));
    }
    if target.purpose == Purpose::Log && !answer.status().is_success() {
        return Err(refused(answer).await);
    }
    match &target.prefix {
        Some(prefix) if is_html(answer.headers()) => rewritten(&target, prefix, answer).await,
        _ => Ok(held(hand_back(&target, answer), permit)),
    }
}

async fn connect(server: &Server, target: &Target) -> Result<Stream, Status> {
    let failed = |error: DialError| unreachable(target, &error);
    let stream = dial::tcp(&target.host, target.port, DIAL_TIMEOUT).await.map_err(failed)?;
    // A name may lead anywhere.
    if !is_proxyable(stream.peer_addr().map_err(Status::internal)?.ip()) {
        return Err(not_allowed());
    }
    let tls = match target.security {
        Security::Plain => return Ok(stream.into()),
        Security::Any => server.connector.anybody.clone(),
        Security::Kubelet => server.connector.kubelets.clone(),
    };
    let stream = dial::tls(tls, &target.host, stream, HANDSHAKE_TIMEOUT).await.map_err(failed)?;
    if target.security == Security::Kubelet && !is_kubelet_of(&target.node, stream.get_ref().1.peer_certificates()) {
        let why = format!("tls: the other end is not the kubelet of node {:?}", target.node);
        return Err(unreachable(target, &why));
    }
    Ok(stream.into())
}

/// Whether a certificate, which our authority has signed, is that of a node's kubelet. Our own and those of other servers are signed as
/// well, and a Node's address is what the node says.
fn is_kubelet_of(node: &str, chain: Option<&[CertificateDer<'_>]>) -> bool {
    let identity = chain.and_then(<[_]>::first).and_then(|first| client_identity(first).ok().flatten());
    identity.is_some_and(|identity| {
        identity.name == user::of_node(node) && identity.groups.iter().any(|group| group == group::NODES)
    })
}

/// Why there is no answer, as upstream words it: for a proxy, for a log, and for a session.
fn unreachable(target: &Target, error: &dyn Display) -> Status {
    match target.purpose {
        Purpose::Proxy => Status::service_unavailable(format!("error trying to reach service: {error}")),
        Purpose::Log => {
            let url = format!("https://{}{}", dial::join(&target.host, target.port), target.path);
            Status::new(500, Reason::Unknown, format!("Get {url:?}: {error}"))
        }
        Purpose::Session => Status::new(500, Reason::Unknown, format!("error dialing backend: {error}")),
    }
}

/// What a kubelet says of a log that it does not give, as a Status with its words.
async fn refused(answer: Response<Incoming>) -> Status {
    let code = answer.status();
    let text = match Limited::new(answer.into_body(), REFUSAL_BYTES_MAX).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim_end().to_owned(),
        Err(error) => return Status::internal(error),
    };
    match code {
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
        StatusCode::NOT_FOUND => Status::new(404, Reason::NotFound, "the server could not find the requested resource"),
        _ => Status::new(code.as_u16(), Reason::Unknown, text),
    }
}

/// The request as the target gets it, and the client's side of an upgrade to come.
fn outgoing(target: &Target, mut request: Request<Incoming>) -> Result<(Request<Incoming>, OnUpgrade), Status> {
    let client = hyper::upgrade::on(&mut request);
    let path = match request.uri().query().filter(|_| target.purpose == Purpose::Proxy) {
        Some(query) => format!("{}?{query}", target.path),
        None => target.path.clone(),
    };
    let uri: Uri = path.parse().map_err(|_| Status::bad_request(format!("{path:?} is no path")))?;
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    parts.version = http::Version::HTTP_11;
    remove_identity(&mut parts.headers);
    let length = parts.headers.get(CONTENT_LENGTH).cloned();
    keep_only_upgrade(&mut parts.headers);
    if length.is_none() {
        parts.headers.remove(TRANSFER_ENCODING);
    }
    let host = HeaderValue::from_str(&dial::join(&target.host, target.port)).map_err(Status::internal)?;
    let asked = parts.headers.insert(HOST, host);
    if let Some(prefix) = &target.prefix {
        let headers = &mut parts.headers;
        // Links can only be rewritten in what can be read.
        headers.remove(http::header::ACCEPT_ENCODING);
        let uri = format!("{prefix}{}", parts.uri.path());
        for (name, value) in [
            ("x-forwarded-uri", HeaderValue::from_str(&uri).ok()),
            ("x-forwarded-host", asked),
            ("x-forwarded-proto", Some(HeaderValue::from_static("https"))),
        ] {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    Ok((Request::from_parts(parts, body), client))
}

/// The target's answer as the client gets it.
fn hand_back<B>(target: &Target, answer: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes, Error: Display + Send + Sync> + Send + Sync + 'static,
{
    let (mut parts, body) = answer.into_parts();
    parts.version = http::Version::default();
    remove_hop_by_hop(&mut parts.headers);
    if let (Some(prefix), Some(location)) = (&target.prefix, header::first(&parts.headers, &LOCATION))
        && let Some(moved) = behind_prefix(target, prefix, &location)
        && let Ok(moved) = HeaderValue::from_str(&moved)
    {
        parts.headers.insert(LOCATION, moved);
    }
    Response::from_parts(parts, passed_on(body))
}

fn is_html(headers: &HeaderMap) -> bool {
    let content_type = header::first(headers, &CONTENT_TYPE).unwrap_or_default();
    content_type.starts_with("text/html") && !headers.contains_key(CONTENT_ENCODING)
}

/// A page of the target, whose links lead through the proxy.
async fn rewritten(target: &Target, prefix: &str, answer: Response<Incoming>) -> Result<Response<Body>, Status> {
    let (parts, body) = answer.into_parts();
    let page = Limited::new(body, HTML_MAX).collect().await;
    let page = page.map_err(|error| unreachable(target, &ExchangeError::of(&*error)))?.to_bytes();
    let page = super::html::rewrite(&page, |link| behind_prefix(target, prefix, link));
    let mut response = hand_back(target, Response::from_parts(parts, Empty::new()));
    response.headers_mut().remove(CONTENT_LENGTH);
    Ok(response.map(|_| full(page)))
}

/// Where a redirect of the target leads, seen from the client.
fn behind_prefix(target: &Target, prefix: &str, location: &str) -> Option<String> {
    let uri: Uri = location.parse().ok()?;
    let own = match uri.host() {
        None => true,
        Some(host) => host == target.host && uri.port_u16().is_none_or(|port| port == target.port),
    };
    let path = uri.path_and_query()?.as_str();
    (own && path.starts_with('/')).then(|| format!("{prefix}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_behind_the_proxy() {
        let target = Target {
            node: String::new(),
            host: "10.244.0.2".to_owned(),
            port: 80,
            security: Security::Plain,
            purpose: Purpose::Proxy,
            path: "/".to_owned(),
            prefix: None,
        };
        let behind = |location| behind_prefix(&target, "/p", location);
        assert_eq!(behind("/a?b=c").as_deref(), Some("/p/a?b=c"));
        assert_eq!(behind("http://10.244.0.2/a").as_deref(), Some("/p/a"));
        assert_eq!(behind("http://elsewhere/a"), None);
    }
}
