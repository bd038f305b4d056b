//! The socket `DATA_DIR/control.sock`, by which the other commands speak to a server that runs: HTTP/1.1 with JSON, for root alone.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /status` | [`StatusReport`] |
//! | `POST /stop` `{"pods": true}` | 202; then the server ends, and the pods with it if it says so |
//! | `GET /images` | [`ImageReport`] each |
//! | `POST /images/import` `{"path": …}` | the names that were imported |
//! | `POST /images/pull` `{"reference": …}` | the image's ID |
//! | `POST /images/remove` `{"reference": …}` | nothing |
//! | `POST /secrets/rotate` | nothing, when everything on the disk is encrypted anew |
//!
//! Failures are answered with a status of 4xx or 5xx and `{"error": …}`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use windlass_http::dial;
use windlass_http::exchange::ExchangeError;
use windlass_http::serve::{self, Limits, Timers};

use crate::error::Failure;

const BODY_MAX: usize = 64 * 1024;

/// Where the socket is.
pub(crate) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// What `windlass status` shows.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatusReport {
    pub version: String,
    pub pid: u32,
    /// RFC 3339.
    pub started: String,
    pub api_server: String,
    pub kubeconfig: PathBuf,
    pub node: String,
    /// `Ready`, `NotReady`, or nothing when no node runs here.
    pub node_state: String,
    pub components: Vec<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageReport {
    pub names: Vec<String>,
    pub id: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Stop {
    /// Ends the pods as well.
    pub pods: bool,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Import {
    pub path: PathBuf,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reference {
    pub reference: String,
}

/// What a server does for those who ask at its socket.
#[async_trait::async_trait]
pub(crate) trait Handler: Send + Sync {
    async fn status(&self) -> StatusReport;
    fn stop(&self, stop: Stop);
    async fn images(&self) -> Result<Vec<ImageReport>, Failure>;
    async fn import(&self, path: &Path) -> Result<Vec<String>, Failure>;
    async fn pull(&self, reference: &str) -> Result<String, Failure>;
    async fn remove_image(&self, reference: &str) -> Result<(), Failure>;
    async fn rotate_secrets(&self) -> Result<(), Failure>;
}

/// Listens at the socket. An old one that nobody answers at is replaced.
pub(crate) fn listen(data_dir: &Path) -> Result<UnixListener, Failure> {
    use std::os::unix::fs::PermissionsExt;
    let path = socket_path(data_dir);
    let failed = |error| Failure::during(format!("the socket {} cannot be made", path.display()), error);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Answers for ever.
pub(crate) async fn serve(socket: UnixListener, handler: Arc<dyn Handler>) {
    let listener =
        serve::Listener { socket: socket.into(), tls: None, limits: Limits::default(), timers: Timers::default() };
    serve::serve(Arc::new(Control(handler)), listener, std::future::pending()).await;
}

/// Only root can open the socket, so nobody is asked who they are.
struct Control(Arc<dyn Handler>);

impl serve::Service for Control {
    type Client = ();
    type Body = Full<Bytes>;

    fn identify(&self, _: SocketAddr, _: Option<&[CertificateDer<'static>]>) {}

    async fn answer(self: Arc<Self>, (): (), request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (code, value) = match handle(&*self.0, request).await {
            Ok(answer) => answer,
            Err((code, failure)) => (code, json!({"error": failure})),
        };
        let mut response = Response::new(Full::new(value.to_string().into()));
        *response.status_mut() = code;
        response
    }
}

type Answer = (StatusCode, Value);

async fn handle(handler: &dyn Handler, request: Request<Incoming>) -> Result<Answer, (StatusCode, String)> {
    let failed = |failure: Failure| (StatusCode::INTERNAL_SERVER_ERROR, failure.to_string());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match (method, path.as_str()) {
        (Method::GET, "/status") => Ok((StatusCode::OK, json!(handler.status().await))),
        (Method::GET, "/images") => Ok((StatusCode::OK, json!(handler.images().await.map_err(failed)?))),
        (Method::POST, "/stop") => {
            handler.stop(body(request).await?);
            Ok((StatusCode::ACCEPTED, Value::Null))
        }
        (Method::POST, "/images/import") => {
            let import: Import = body(request).await?;
            Ok((StatusCode::OK, json!(handler.import(&import.path).await.map_err(failed)?)))
        }
        (Method::POST, "/images/pull") => {
            let image: Reference = body(request).await?;
            Ok((StatusCode::OK, json!(handler.pull(&image.reference).await.map_err(failed)?)))
        }
        (Method::POST, "/images/remove") => {
            let image: Reference = body(request).await?;
            handler.remove_image(&image.reference).await.map_err(failed)?;
            Ok((StatusCode::OK, Value::Null))
        }
        (Method::POST, "/secrets/rotate") => {
            handler.rotate_secrets().await.map_err(failed)?;
            Ok((StatusCode::OK, Value::Null))
        }
        _ => Err((StatusCode::NOT_FOUND, format!("there is no {path}"))),
    }
}

async fn body<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, (StatusCode, String)> {
    let refuse =
        |error: &dyn std::fmt::Display| (StatusCode::BAD_REQUEST, format!("the request cannot be read: {error}"));
    let bytes = Limited::new(request.into_body(), BODY_MAX).collect().await.map_err(|error| refuse(&error))?.to_bytes();
    serde_json::from_slice(&bytes).map_err(|error| refuse(&error))
}

/// A connection to the server of a data directory.
pub(crate) struct Connection {
    stream: UnixStream,
}

impl Connection {
    /// `None` when no server runs.
    pub(crate) async fn open(data_dir: &Path) -> Result<Option<Self>, Failure> {
        use std::io::ErrorKind;
        let path = socket_path(data_dir);
        match UnixStream::connect(&path).await {
            Ok(stream) => Ok(Some(Self { stream })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Err(Failure::during(format!("the socket {} cannot be used", path.display()), error).hint("run as root"))
            }
            Err(error) => Err(Failure::during(format!("the socket {} cannot be used", path.display()), error)),
        }
    }

    /// One request and its answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let lost = |error: ExchangeError| Failure::during("the server did not answer", error);
        let (mut sender, _driver) = dial::http1(self.stream.into()).await.map_err(lost)?;
        let bytes =
            serde_json::to_vec(body).map_err(|error| Failure::during("the request cannot be written", error))?;
        let request = Request::builder().method(method).uri(path).header("host", "windlass");
        let request = request
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|error| Failure::during("the request cannot be written", error))?;
        let response = sender.send_request(request).await.map_err(lost)?;
        let code = response.status();
        let bytes = response.into_body().collect().await.map_err(|error| lost(ExchangeError::of(&error)))?.to_bytes();
        if !code.is_success() {
            let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            return Err(Failure::new(answer["error"].as_str().unwrap_or("the server failed without saying why")));
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::during("the server's answer cannot be read", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    #[async_trait::async_trait]
    impl Handler for Fake {
        async fn status(&self) -> StatusReport {
            StatusReport { node: "n".to_owned(), ..StatusReport::default() }
        }
        fn stop(&self, _: Stop) {}
        async fn images(&self) -> Result<Vec<ImageReport>, Failure> {
            Ok(Vec::new())
        }
        async fn import(&self, path: &Path) -> Result<Vec<String>, Failure> {
            Ok(vec![path.display().to_string()])
        }
        async fn pull(&self, _: &str) -> Result<String, Failure> {
            Err(Failure::new("no such image").hint("look again"))
        }
        async fn remove_image(&self, _: &str) -> Result<(), Failure> {
            Ok(())
        }
        async fn rotate_secrets(&self) -> Result<(), Failure> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn questions_and_answers() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Connection::open(directory.path()).await.unwrap().is_none());
        let listener = listen(directory.path()).unwrap();
        tokio::spawn(serve(listener, Arc::new(Fake)));
        let ask = async || Connection::open(directory.path()).await.unwrap().unwrap();
        let status: StatusReport = ask().await.ask(Method::GET, "/status", &()).await.unwrap();
        assert_eq!(status.node, "n");
        let import = Import { path: "/x".into() };
        let names: Vec<String> = ask().await.ask(Method::POST, "/images/import", &import).await.unwrap();
        assert_eq!(names, ["/x"]);
        let reference = Reference { reference: "x".to_owned() };
        let failure = ask().await.ask::<String>(Method::POST, "/images/pull", &reference).await.unwrap_err();
        assert_eq!(failure.to_string(), "no such image (look again)");
        let failure = ask().await.ask::<String>(Method::POST, "/images/pull", &()).await.unwrap_err();
        assert!(failure.to_string().contains("cannot be read"));
        assert!(ask().await.ask::<Value>(Method::GET, "/nothing", &()).await.is_err());
    }
}
