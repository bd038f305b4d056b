//! One call of a webhook.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, Uri, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use windlass_api::Status;
use windlass_http::body::{self, BodyError};
use windlass_http::dial::DialError;
use windlass_http::exchange::ExchangeError;

use crate::config::{ClientConfig, ConfigError, Target};
use crate::connections::{Connection, Connections, Endpoint};
use crate::failure::{CallError, refusal};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 32 << 20;
const AGENT: &str = "kube-apiserver-admission";
const TIMED_OUT: &str = "context deadline exceeded";

/// Finds where Services are answered.
#[async_trait]
pub trait Services: Send + Sync {
    /// The host and port of an endpoint of a Service's port.
    async fn endpoint(&self, namespace: &str, name: &str, port: u16) -> Result<(String, u16), Status>;
}

/// What a webhook answered, with a code of success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: u16,
    pub content_type: String,
    pub body: Bytes,
}

/// Calls webhooks.
#[derive(Default)]
pub struct Client {
    connections: Connections,
}

impl Client {
    /// Sends JSON and returns what comes back within the time; the webhook is told how much it has.
    pub async fn post(
        &self,
        config: &ClientConfig,
        services: &dyn Services,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Answer, CallError> {
        let uri = with_timeout(&config.uri()?, timeout)?;
        let deadline = Instant::now() + timeout;
        let call = async {
            let endpoint = endpoint(config, &uri, services).await?;
            let (response, connection) = self.exchange(&endpoint, &uri, body).await?;
            Ok((endpoint, response, connection))
        };
        let failed = |cause: Failure| cause.of(&uri);
        let (endpoint, response, connection) =
            timeout_at(deadline, call).await.unwrap_or(Err(Failure::Deadline)).map_err(failed)?;
        let answer = read(response, deadline, &uri).await?;
        // Its answer has been read to the end, so it can be used again.
        self.connections.give_back(endpoint, connection);
        answer
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        uri: &Uri,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Connection), Failure> {
        loop {
            let (mut connection, is_new) = self.connections.take(endpoint).await?;
            let request = request(uri, connection.version(), body.clone());
            match connection.send(request).await {
                Ok(response) => return Ok((response, connection)),
                // One that was kept had ended meanwhile, before anything was sent.
                Err(unanswered) if unanswered.is_unsent && !is_new => {}
                Err(unanswered) => return Err(Failure::Exchange(ExchangeError::of(&unanswered.error))),
            }
        }
    }
}

/// Why there is no response.
pub(crate) enum Failure {
    Service(Status),
    Config(ConfigError),
    Dial(DialError),
    Exchange(ExchangeError),
    Deadline,
}

impl Failure {
    fn of(self, uri: &Uri) -> CallError {
        let cause = match self {
            Self::Config(error) => return CallError::Config(error),
            Self::Service(status) => status.message,
            Self::Dial(error) => error.to_string(),
            Self::Exchange(error) => error.to_string(),
            Self::Deadline => TIMED_OUT.to_owned(),
        };
        CallError::Exchange { url: uri.to_string(), cause }
    }
}

/// Where to connect for an URI; a Service's name is no name of DNS here.
async fn endpoint(config: &ClientConfig, uri: &Uri, services: &dyn Services) -> Result<Endpoint, Failure> {
    let server_name = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let (host, port) = match &config.target {
        Target::Url(_) => (server_name.clone(), uri.port_u16().unwrap_or(443)),
        Target::Service { namespace, name, port, .. } => {
            services.endpoint(namespace, name, *port).await.map_err(Failure::Service)?
        }
    };
    Ok(Endpoint { host, port, server_name, ca_bundle: config.ca_bundle.clone() })
}

/// Tells the webhook how many seconds its answer is waited for.
fn with_timeout(uri: &Uri, timeout: Duration) -> Result<Uri, ConfigError> {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    format!("{uri}?timeout={seconds}s").parse().map_err(|error| ConfigError::Url(format!("{error}")))
}

fn request(uri: &Uri, version: Version, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if version == Version::HTTP_2 {
        *request.uri_mut() = uri.clone();
        return request;
    }
    let host = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    headers.extend(host.map(|host| (HOST, host)));
    *request.uri_mut() = uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
    request
}

/// Reads an answer to its end. The inner result is about what it says.
async fn read(
    response: Response<Incoming>,
    deadline: Instant,
    uri: &Uri,
) -> Result<Result<Answer, CallError>, CallError> {
    let (head, body) = response.into_parts();
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = body::read(body, ANSWER_BYTES_MAX, deadline, |_| true).await.map_err(|error| match error {
        BodyError::Deadline => CallError::Exchange { url: uri.to_string(), cause: TIMED_OUT.to_owned() },
        BodyError::Broken(error) => CallError::Body(ExchangeError::of(&error).to_string()),
        other => CallError::Body(other.to_string()),
    })?;
    if !head.status.is_success() {
        return Ok(Err(refusal(head.status, content_type, &body)));
    }
    let content_type = content_type.unwrap_or_default().to_owned();
    Ok(Ok(Answer { code: head.status.as_u16(), content_type, body }))
}
