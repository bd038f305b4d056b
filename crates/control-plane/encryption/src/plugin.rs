//! A key management service for tests. Anybody could open what it encrypts.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::kms::messages::{DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusResponse};

/// What the service says.
#[derive(Clone, Default)]
pub(crate) struct State {
    pub healthz: String,
    pub version: String,
    /// The key that it encrypts with, and the one that it says that it does.
    pub key_id: String,
    pub said_key_id: Option<String>,
    /// Keys that it opens with no more.
    pub lost: Vec<String>,
    pub decrypted: usize,
}

/// A service that runs until this is dropped.
pub(crate) struct Plugin {
    pub state: Arc<Mutex<State>>,
    _serving: JoinSet<()>,
}

impl Plugin {
    /// One that is well, at a socket.
    pub(crate) fn start(socket: &Path) -> Self {
        let state =
            State { healthz: "ok".to_owned(), version: "v2".to_owned(), key_id: "1".to_owned(), ..State::default() };
        Self::with(socket, Arc::new(Mutex::new(state)))
    }

    pub(crate) fn with(socket: &Path, state: Arc<Mutex<State>>) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let mut serving = JoinSet::new();
        let shared = state.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request| answer(state.clone(), request));
                let connection =
                    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move {
                    // It ends with its client.
                    let _ = connection.await;
                });
            }
        });
        Self { state, _serving: serving }
    }
}

type Body = StreamBody<futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>>;

async fn answer(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let message = body.slice(5..);
    let mut trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    let mut frames = Vec::new();
    match carry_out(&mut state.lock(), &method, &message) {
        Ok(answer) => {
            let mut framed = vec![0];
            framed.extend_from_slice(&u32::try_from(answer.len()).unwrap().to_be_bytes());
            framed.extend_from_slice(&answer);
            frames.push(Ok(Frame::data(framed.into())));
        }
        Err(why) => {
            trailers.insert("grpc-status", HeaderValue::from_static("5"));
            trailers.insert("grpc-message", why.parse().unwrap());
        }
    }
    frames.push(Ok(Frame::trailers(trailers)));
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(StreamBody::new(futures::stream::iter(frames))).unwrap())
}

fn carry_out(state: &mut State, method: &str, message: &[u8]) -> Result<Vec<u8>, String> {
    let turned = |key: &str, bytes: &[u8]| -> Vec<u8> {
        let first = key.bytes().next().unwrap_or_default();
        bytes.iter().map(|byte| !(byte ^ first)).collect()
    };
    Ok(match method {
        "Status" => {
            let key_id = state.said_key_id.clone().unwrap_or_else(|| state.key_id.clone());
            StatusResponse { version: state.version.clone(), healthz: state.healthz.clone(), key_id }.encode_to_vec()
        }
        "Encrypt" => {
            let asked = EncryptRequest::decode(message).unwrap();
            let annotations = BTreeMap::from([("kms.example.com".to_owned(), b"hello".to_vec())]);
            let key_id = state.key_id.clone();
            EncryptResponse { ciphertext: turned(&key_id, &asked.plaintext), key_id, annotations }.encode_to_vec()
        }
        "Decrypt" => {
            let asked = DecryptRequest::decode(message).unwrap();
            if state.lost.contains(&asked.key_id) {
                return Err(format!("key {} is lost", asked.key_id));
            }
            if asked.annotations.get("kms.example.com").is_none_or(|value| value != b"hello") {
                return Err("other annotations".to_owned());
            }
            state.decrypted += 1;
            DecryptResponse { plaintext: turned(&asked.key_id, &asked.ciphertext) }.encode_to_vec()
        }
        other => return Err(format!("unknown method {other}")),
    })
}
