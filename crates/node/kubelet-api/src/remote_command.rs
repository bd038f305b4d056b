//! Exec and attach: what the client asks for, and over which protocol.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windlass_cri::{AttachRequest, ExecRequest, RuntimeService};

use crate::query::Query;
use crate::respond::{Body, empty, text};
use crate::session::channel::{INPUT_MESSAGES_MAX, OUTPUT_MESSAGES_MAX, Output, RemoteClient};
use crate::session::run::{Kind, run};
use crate::spdy::connection::{Connection, Stream, serve as serve_spdy};
use crate::websocket::channels::{ERROR, Protocol, REMOTE_COMMAND, RESIZE, STDERR, STDIN, STDOUT, serve};
use crate::websocket::upgrade;

pub(crate) const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_PROTOCOLS: HeaderName = HeaderName::from_static("accepted-stream-protocol-version");
/// How long a SPDY client may take to open its streams.
pub(crate) const STREAM_CREATION_TIMEOUT: Duration = Duration::from_secs(30);
/// The protocols over SPDY, and whether they have a stream for sizes of the terminal and a Status for the outcome.
const SPDY_PROTOCOLS: [(&str, bool, bool); 4] = [
    ("v4.channel.k8s.io", true, true),
    ("v3.channel.k8s.io", true, false),
    ("v2.channel.k8s.io", false, false),
    ("channel.k8s.io", false, false),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    Exec,
    Attach,
}

/// Which streams the client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
    command: Vec<String>,
}

impl Wanted {
    fn parse(query: &Query) -> Result<Self, &'static str> {
        let flag = |ours: &str, theirs: &str| query.flag(ours) || query.flag(theirs);
        let tty = query.flag("tty");
        let wanted = Self {
            stdin: flag("input", "stdin"),
            stdout: flag("output", "stdout"),
            // A terminal has one output.
            stderr: flag("error", "stderr") && !tty,
            tty,
            command: query.all("command").map(str::to_owned).collect(),
        };
        if !wanted.stdin && !wanted.stdout && !wanted.stderr {
            return Err("you must specify at least 1 of stdin, stdout, stderr");
        }
        Ok(wanted)
    }
}

/// What is to be done when the connection is upgraded.
struct Task {
    runtime: Arc<dyn RuntimeService>,
    session: Session,
    container_id: String,
    wanted: Wanted,
}

pub(crate) fn answer(
    runtime: &Arc<dyn RuntimeService>,
    session: Session,
    container_id: String,
    query: &Query,
    request: &mut Request<Incoming>,
) -> Response<Body> {
    let wanted = match Wanted::parse(query) {
        Ok(wanted) => wanted,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let task = Task { runtime: runtime.clone(), session, container_id, wanted };
    if upgrade::is_wanted(request.headers()) {
        return over_websocket(task, request);
    }
    if is_spdy(request) {
        return over_spdy(task, request);
    }
    text(StatusCode::BAD_REQUEST, "Upgrade request required")
}

/// Whether the client wants plain SPDY.
pub(crate) fn is_spdy(request: &Request<Incoming>) -> bool {
    upgrade::has_token(request.headers(), &header::CONNECTION, "upgrade")
        && upgrade::has_token(request.headers(), &header::UPGRADE, "spdy/3.1")
}

fn over_websocket(task: Task, request: &mut Request<Incoming>) -> Response<Body> {
    let known = REMOTE_COMMAND.map(|protocol| protocol.name);
    let chosen = upgrade::choose(request.headers(), &known)
        .and_then(|name| upgrade::answer(request.headers(), name).map(|response| (name, response)));
    let (name, response) = match chosen {
        Ok(chosen) => chosen,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("unable to upgrade websocket connection: {error}")),
    };
    let protocol = REMOTE_COMMAND.into_iter().find(|protocol| protocol.name == name);
    let Some(protocol) = protocol else { return text(StatusCode::INTERNAL_SERVER_ERROR, "no such protocol") };
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(websocket_session(task, protocol, upgraded));
    response
}

async fn websocket_session(task: Task, protocol: Protocol, upgraded: OnUpgrade) {
    let io = match upgraded.await {
        Ok(io) => TokioIo::new(io),
        Err(error) => return tracing::debug!(%error, "a connection was not upgraded"),
    };
    let socket = upgrade::open(io).await;
    let (messages, outgoing) = mpsc::channel(OUTPUT_MESSAGES_MAX);
    let output = |channel| Output { messages: messages.clone(), channel };
    let mut inputs = vec![None, None, None, None, None];
    let mut input = |channel: usize| {
        let (sender, receiver) = mpsc::channel(INPUT_MESSAGES_MAX);
        inputs[channel] = Some(sender);
        receiver
    };
    let gone = CancellationToken::new();
    let wanted = &task.wanted;
    let first = if wanted.stdout {
        STDOUT
    } else if wanted.stderr {
        STDERR
    } else {
        ERROR
    };
    let client = RemoteClient {
        stdin: task.wanted.stdin.then(|| input(STDIN)),
        resize: task.wanted.tty.then(|| input(RESIZE)),
        stdout: task.wanted.stdout.then(|| output(STDOUT)),
        stderr: task.wanted.stderr.then(|| output(STDERR)),
        error: output(ERROR),
        hello: Some(output(first)),
        status_as_json: protocol.json_status,
        gone: gone.clone(),
    };
    drop(messages);
    tokio::join!(serve(socket, protocol, inputs, outgoing, gone), task.run(client));
}

fn over_spdy(task: Task, request: &mut Request<Incoming>) -> Response<Body> {
    let known = SPDY_PROTOCOLS.map(|(name, ..)| name);
    let (name, response) = match spdy_answer(request, &known) {
        Ok(answer) => answer,
        Err(refusal) => return *refusal,
    };
    let (_, resizes, json) =
        SPDY_PROTOCOLS.into_iter().find(|(known, ..)| *known == name).unwrap_or(("", false, false));
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(io) => {
                let (connection, work) = serve_spdy(TokioIo::new(io));
                tokio::join!(work, spdy_session(task, connection, resizes, json));
            }
            Err(error) => tracing::debug!(%error, "a connection was not upgraded"),
        }
    });
    response
}

/// Chooses the stream protocol, and answers the upgrade. A client that names none speaks the last that is known.
pub(crate) fn spdy_answer(
    request: &Request<Incoming>,
    known: &[&'static str],
) -> Result<(&'static str, Response<Body>), Box<Response<Body>>> {
    let wanted = windlass_http::header::list(request.headers(), &STREAM_PROTOCOL);
    let chosen = match wanted.as_slice() {
        [] => known.last(),
        wanted => wanted.iter().find_map(|name| known.iter().find(|known| *known == name)),
    };
    let Some(chosen) = chosen else {
        let why = format!(
            "unable to upgrade: unable to negotiate protocol: client supports {wanted:?}, server accepts {known:?}"
        );
        let mut refusal = text(StatusCode::FORBIDDEN, why);
        for name in known {
            refusal.headers_mut().append(ACCEPTED_PROTOCOLS, HeaderValue::from_static(name));
        }
        return Err(Box::new(refusal));
    };
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    if !wanted.is_empty() {
        headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(chosen));
    }
    Ok((chosen, response))
}

async fn spdy_session(task: Task, connection: Connection, resizes: bool, json: bool) {
    let Connection { mut streams, keep, gone } = connection;
    let collected = tokio::time::timeout(STREAM_CREATION_TIMEOUT, collect(&task.wanted, &mut streams, resizes));
    let Ok(Some(mut found)) = collected.await else {
        return tracing::debug!("a client did not open the streams that it asked for");
    };
    drop(keep);
    let mut take = |kind: &str| found.iter().position(|(name, _)| name == kind).map(|at| found.swap_remove(at).1);
    let Some(error) = take("error") else { return };
    let client = RemoteClient {
        stdin: take("stdin").map(|stream| stream.input),
        stdout: take("stdout").map(|stream| stream.output),
        stderr: take("stderr").map(|stream| stream.output),
        resize: take("resize").map(|stream| stream.input),
        error: error.output,
        hello: None,
        status_as_json: json,
        gone,
    };
    task.run(client).await;
}

/// Waits for the streams that the client must open; `None` when it goes before.
async fn collect(
    wanted: &Wanted,
    streams: &mut mpsc::Receiver<Stream>,
    resizes: bool,
) -> Option<Vec<(String, Stream)>> {
    let expected = [true, wanted.stdin, wanted.stdout, wanted.stderr, wanted.tty && resizes];
    let expected = expected.into_iter().filter(|wanted| *wanted).count();
    let mut found: Vec<(String, Stream)> = Vec::with_capacity(expected);
    while found.len() < expected {
        let stream = streams.recv().await?;
        let kind = stream.headers.get("streamtype").cloned().unwrap_or_default();
        if found.iter().any(|(known, _)| *known == kind) {
            stream.output.reset().await;
        } else {
            found.push((kind, stream));
        }
    }
    Some(found)
}

impl Task {
    async fn run(self, client: RemoteClient) {
        let Self { runtime, session, container_id, wanted } = self;
        match session {
            Session::Exec => {
                let request = ExecRequest {
                    container_id,
                    cmd: wanted.command,
                    tty: wanted.tty,
                    stdin: wanted.stdin,
                    stdout: wanted.stdout,
                    stderr: wanted.stderr,
                };
                run(runtime.exec(request), Kind::Exec, client).await;
            }
            Session::Attach => {
                let request =
                    AttachRequest { container_id, stdin: wanted.stdin, stdout: wanted.stdout, stderr: wanted.stderr };
                run(runtime.attach(request), Kind::Attach, client).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_streams() {
        let parse = |query: &str| Wanted::parse(&Query::parse(Some(query)));
        let wanted = parse("input=1&output=1&error=1&tty=1&command=a&command=b").unwrap();
        assert!(wanted.stdin && wanted.stdout && wanted.tty && !wanted.stderr);
        assert_eq!(wanted.command, ["a", "b"]);
        assert!(parse("stderr=true&command=a").unwrap().stderr);
        assert!(parse("command=a").is_err());
    }
}
