//! Connections to an aggregated server that are to speak something else than HTTP (SPDY, WebSocket): each is one of its own, in HTTP/1.1.

use std::fmt::Display;

use http::header::{HOST, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;
use windlass_api::Status;
use windlass_http::dial;
use windlass_http::exchange::ExchangeError;
use windlass_http::pool::{DIAL_TIMEOUT, HANDSHAKE_TIMEOUT};

use super::forwarding::{Asked, add_client, hand_back, refused, until};
use super::headers;
use super::transport::Transport;
use crate::message::relay::{held, keep_only_upgrade, remove_identity, tunnel};
use crate::message::response::Body;
use crate::outgoing::Permit;

/// Asks the server to speak something else on the connection, and then hands bytes to and fro.
pub(super) async fn upgrade(
    transport: &Transport,
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
        Ok(Err(error)) => return Ok(refused(StatusCode::SERVICE_UNAVAILABLE, &error)),
        Err(_) => return Ok(refused(StatusCode::SERVICE_UNAVAILABLE, &ExchangeError::Deadline)),
    };
    match answer.status() {
        StatusCode::SWITCHING_PROTOCOLS => Ok(tunnel(client, answer, (permits, asked.until_end.clone()))),
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
