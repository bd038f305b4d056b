//! Port-forward: which ports, and over which protocol.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use windlass_cri::RuntimeService;

use crate::node::PodView;
use crate::query::Query;
use crate::remote_command::{STREAM_CREATION_TIMEOUT, is_spdy, spdy_answer};
use crate::respond::{Body, text};
use crate::session::channel::{INPUT_MESSAGES_MAX, OUTPUT_MESSAGES_MAX, Output};
use crate::session::forward::{Channels, Pod, forward};
use crate::spdy::connection::{Connection, Stream, serve as serve_spdy};
use crate::websocket::channels::{PORT_FORWARD, Protocol, serve};
use crate::websocket::tunnel::{self, PORT_FORWARD_PROTOCOL};
use crate::websocket::upgrade;

const SPDY_PROTOCOL: &str = "portforward.k8s.io";
/// Connections whose second stream has not come yet.
const HALF_OPEN_MAX: usize = 256;
/// Ports of one WebSocket; a channel's number is a byte.
const PORTS_MAX: usize = 127;

pub(crate) fn answer(
    runtime: &Arc<dyn RuntimeService>,
    view: &PodView,
    name: &str,
    query: &Query,
    request: &mut Request<Incoming>,
) -> Response<Body> {
    let Some(sandbox_id) = view.sandbox_id.clone() else {
        let why = format!("unable to do port forwarding: pod {name:?} is not running");
        return text(StatusCode::INTERNAL_SERVER_ERROR, why);
    };
    let pod = Pod { runtime: runtime.clone(), sandbox_id, uid: view.uid.clone() };
    if upgrade::is_wanted(request.headers()) {
        if upgrade::has_token(request.headers(), &header::SEC_WEBSOCKET_PROTOCOL, PORT_FORWARD_PROTOCOL) {
            return tunnelled(pod, request);
        }
        return over_websocket(pod, query, request);
    }
    if is_spdy(request) {
        return over_spdy(pod, request);
    }
    text(StatusCode::BAD_REQUEST, "Upgrade request required")
}

fn refused(error: &upgrade::UpgradeError) -> Response<Body> {
    text(StatusCode::BAD_REQUEST, format!("unable to upgrade websocket connection: {error}"))
}

/// SPDY in a WebSocket, as kubectl does it.
fn tunnelled(pod: Pod, request: &mut Request<Incoming>) -> Response<Body> {
    let response = match upgrade::answer(request.headers(), PORT_FORWARD_PROTOCOL) {
        Ok(response) => response,
        Err(error) => return refused(&error),
    };
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(io) => {
                let (pipe, carry) = tunnel::open(upgrade::open(TokioIo::new(io)).await);
                tokio::join!(carry, forward_spdy(pod, pipe));
            }
            Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
        }
    });
    response
}

fn over_spdy(pod: Pod, request: &mut Request<Incoming>) -> Response<Body> {
    let response = match spdy_answer(request, &[SPDY_PROTOCOL]) {
        Ok((_, response)) => response,
        Err(refusal) => return *refusal,
    };
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(io) => forward_spdy(pod, TokioIo::new(io)).await,
            Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
        }
    });
    response
}

/// Serves a SPDY connection: each pair of streams, of data and of errors, is one connection to a port.
async fn forward_spdy<T: AsyncRead + AsyncWrite + Send + 'static>(pod: Pod, io: T) {
    let (connection, work) = serve_spdy(io);
    tokio::join!(work, pairs(pod, connection));
}

async fn pairs(pod: Pod, connection: Connection) {
    let Connection { mut streams, keep, gone } = connection;
    let mut waiting: HashMap<String, (Stream, Instant)> = HashMap::new();
    let mut running = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = streams.recv() => stream,
            Some(_) = running.join_next(), if !running.is_empty() => continue,
            () = gone.cancelled() => None,
        };
        let Some(stream) = stream else { break };
        waiting.retain(|_, (_, since)| since.elapsed() < STREAM_CREATION_TIMEOUT);
        let Some((port, kind)) = meaning(&stream) else {
            stream.output.reset().await;
            continue;
        };
        let id = request_id(&stream, kind);
        match waiting.remove(&id) {
            Some((other, _)) if meaning(&other).is_some_and(|(_, other)| other != kind) => {
                let (data, error) = if kind == Kind::Data { (stream, other) } else { (other, stream) };
                let (pod, gone) = (pod.clone(), gone.clone());
                running.spawn(async move { connect(pod, port, data, error, gone).await });
            }
            Some((other, _)) => {
                stream.output.reset().await;
                other.output.reset().await;
            }
            None if waiting.len() < HALF_OPEN_MAX => drop(waiting.insert(id, (stream, Instant::now()))),
            None => stream.output.reset().await,
        }
    }
    // The client has gone; what is still connected ends by itself.
    drop(keep);
    while running.join_next().await.is_some() {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Error,
}

/// What a stream's headers say it is for.
fn meaning(stream: &Stream) -> Option<(u16, Kind)> {
    let port: u16 = stream.headers.get("port")?.parse().ok().filter(|port| *port > 0)?;
    match stream.headers.get("streamtype")?.as_str() {
        "data" => Some((port, Kind::Data)),
        "error" => Some((port, Kind::Error)),
        _ => None,
    }
}

/// What the two streams of a connection have in common. Very old clients do not say; they open the data stream right after the one
/// for errors.
fn request_id(stream: &Stream, kind: Kind) -> String {
    match (stream.headers.get("requestid"), kind) {
        (Some(id), _) => id.clone(),
        (None, Kind::Error) => format!("stream {}", stream.output.channel),
        (None, Kind::Data) => format!("stream {}", stream.output.channel.wrapping_sub(2)),
    }
}

async fn connect(pod: Pod, port: u16, data: Stream, error: Stream, gone: CancellationToken) {
    let (output, errors) = (data.output.clone(), error.output.clone());
    let channels = Channels { input: data.input, output: data.output, error: error.output, gone };
    if !forward(&pod, port, channels).await {
        output.reset().await;
        errors.reset().await;
    }
}

fn over_websocket(pod: Pod, query: &Query, request: &mut Request<Incoming>) -> Response<Body> {
    let ports = match ports(query) {
        Ok(ports) => ports,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let known = PORT_FORWARD.map(|protocol| protocol.name);
    let chosen = upgrade::choose(request.headers(), &known)
        .and_then(|name| upgrade::answer(request.headers(), name).map(|response| (name, response)));
    let (name, response) = match chosen {
        Ok(chosen) => chosen,
        Err(error) => return refused(&error),
    };
    let protocol = PORT_FORWARD.into_iter().find(|protocol| protocol.name == name);
    let Some(protocol) = protocol else { return text(StatusCode::INTERNAL_SERVER_ERROR, "no such protocol") };
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(websocket_session(pod, protocol, ports, upgraded));
    response
}

/// The ports of a WebSocket, of which each has a pair of channels.
fn ports(query: &Query) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    for text in query.all("port").flat_map(|ports| ports.split(',')) {
        if text.is_empty() {
            return Err("query parameter \"port\" cannot be empty".to_owned());
        }
        match text.parse::<u16>() {
            Ok(0) => return Err(format!("port {text:?} must be > 0")),
            Ok(port) => ports.push(port),
            Err(error) => return Err(format!("unable to parse {text:?} as a port: {error}")),
        }
    }
    match ports.len() {
        0 => Err("query parameter \"port\" is required".to_owned()),
        1..=PORTS_MAX => Ok(ports),
        _ => Err(format!("at most {PORTS_MAX} ports can be forwarded at once")),
    }
}

async fn websocket_session(pod: Pod, protocol: Protocol, ports: Vec<u16>, upgraded: OnUpgrade) {
    let io = match upgraded.await {
        Ok(io) => TokioIo::new(io),
        Err(error) => return tracing::debug!(%error, "a connection was not upgraded"),
    };
    let socket = upgrade::open(io).await;
    let (messages, outgoing) = mpsc::channel(OUTPUT_MESSAGES_MAX);
    let gone = CancellationToken::new();
    let mut inputs = Vec::new();
    let mut sessions = Vec::new();
    for (channel, port) in (0_u32..).step_by(2).zip(ports) {
        let (input, received) = mpsc::channel(INPUT_MESSAGES_MAX);
        inputs.extend([Some(input), None]);
        let output = |channel| Output { messages: messages.clone(), channel };
        let channels =
            Channels { input: received, output: output(channel), error: output(channel + 1), gone: gone.clone() };
        sessions.push(one_port(&pod, port, channels));
    }
    drop(messages);
    tokio::join!(serve(socket, protocol, inputs, outgoing, gone), futures::future::join_all(sessions));
}

/// A channel begins with the number of its port, the low byte first.
async fn one_port(pod: &Pod, port: u16, channels: Channels) {
    let number = Bytes::copy_from_slice(&port.to_le_bytes());
    if channels.output.send(number.clone()).await.is_ok() && channels.error.send(number).await.is_ok() {
        forward(pod, port, channels).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_ports() {
        let of = |query: &str| ports(&Query::parse(Some(query)));
        assert_eq!(of("port=80&port=81,82"), Ok(vec![80, 81, 82]));
        for bad in ["", "port=", "port=0", "port=x", "port=70000", "port=80,"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
