//! Asking a key management service: gRPC on a socket of this machine.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tonic::Code;
use tonic::client::Grpc;
use tonic_prost::ProstCodec;
use tower_service::Service;
use windlass_http::dial::{self, Stream};

use super::messages::{
    DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse, StatusRequest, StatusResponse,
};
use crate::figures::Figures;

/// A service did not answer as it should, in the words of Go's gRPC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rpc error: code = {code} desc = {message}")]
pub(super) struct RpcError {
    pub code: &'static str,
    message: String,
}

impl From<tonic::Status> for RpcError {
    fn from(status: tonic::Status) -> Self {
        Self { code: name_of(status.code()), message: status.message().to_owned() }
    }
}

/// One key management service.
pub(super) struct Client {
    name: String,
    patience: Duration,
    channel: Channel,
    figures: Arc<Figures>,
}

impl Client {
    /// `socket` need not be there yet.
    pub(super) fn new(name: &str, socket: &Path, patience: Duration, figures: Arc<Figures>) -> Self {
        let channel = Channel { socket: socket.into(), connection: Arc::default() };
        Self { name: name.to_owned(), patience, channel, figures }
    }

    pub(super) async fn status(&self) -> Result<StatusResponse, RpcError> {
        self.call("/v2.KeyManagementService/Status", StatusRequest {}).await
    }

    pub(super) async fn encrypt(&self, request: EncryptRequest) -> Result<EncryptResponse, RpcError> {
        self.call("/v2.KeyManagementService/Encrypt", request).await
    }

    pub(super) async fn decrypt(&self, request: DecryptRequest) -> Result<DecryptResponse, RpcError> {
        self.call("/v2.KeyManagementService/Decrypt", request).await
    }

    async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, RpcError>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let started = Instant::now();
        let mut grpc = Grpc::with_origin(self.channel.clone(), Uri::from_static("http://localhost"));
        let calling = async {
            let ready = grpc.ready().await;
            ready.map_err(|error| tonic::Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(method);
            grpc.unary(tonic::Request::new(request), path, ProstCodec::default()).await
        };
        let answer = match timeout(self.patience, calling).await {
            Ok(answer) => answer.map(tonic::Response::into_inner).map_err(RpcError::from),
            Err(_) => Err(tonic::Status::deadline_exceeded("context deadline exceeded").into()),
        };
        let code = answer.as_ref().map_or_else(|error| error.code, |_| "OK");
        self.figures.asked(&self.name, method, code, started.elapsed());
        answer
    }
}

/// The connection to a socket, made when somebody needs it, and anew when it has ended.
#[derive(Clone)]
struct Channel {
    socket: PathBuf,
    connection: Arc<Mutex<Option<SendRequest<tonic::body::Body>>>>,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Channel {
    async fn connected(&self) -> Result<SendRequest<tonic::body::Body>, BoxError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let dialled = UnixStream::connect(&self.socket).await;
        let stream = dialled.map_err(|error| format!("dial unix {}: connect: {error}", self.socket.display()))?;
        let (sender, driver) = dial::http2(Stream::from(stream)).await?;
        driver.detach();
        *connection = Some(sender.clone());
        Ok(sender)
    }
}

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Incoming>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let channel = self.clone();
        async move { Ok(channel.connected().await?.send_request(request).await?) }.boxed()
    }
}

/// A code as Go writes it.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
