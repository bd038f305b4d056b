//! One call of a webhook.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use windlass_api::Status;
use windlass_http::body::{self, BodyError};
use windlass_http::exchange::ExchangeError;
use windlass_http::header;

use crate::config::{ClientConfig, ConfigError, Target};
use crate::failure::{CallError, refusal};
use crate::pools::{Endpoint, Pools};

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 32 << 20;
const AGENT: &str = "kube-apiserver-admission";

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
    pools: Pools,
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
        let url = with_timeout(&config.uri()?, timeout)?;
        let deadline = Instant::now() + timeout;
        let failed = |cause| CallError::Exchange { url: url.to_string(), cause };
        let exchange = async {
            let endpoint = endpoint(config, &url, services)
                .await
                .map_err(|status| failed(ExchangeError::Other(status.message)))?;
            let pool = self.pools.of(endpoint)?;
            pool.send(request(&url, body)).await.map_err(failed)
        };
        let response = timeout_at(deadline, exchange).await.unwrap_or_else(|_| Err(failed(ExchangeError::Deadline)));
        read(response?, deadline, &url).await
    }
}

/// Where to connect for an URL; a Service's name is no name of DNS here.
async fn endpoint(config: &ClientConfig, url: &Uri, services: &dyn Services) -> Result<Endpoint, Status> {
    let server_name = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let (host, port) = match &config.target {
        Target::Url(_) => (server_name.clone(), url.port_u16().unwrap_or(443)),
        Target::Service { namespace, name, port, .. } => services.endpoint(namespace, name, *port).await?,
    };
    Ok(Endpoint { host, port, server_name, ca_bundle: config.ca_bundle.clone() })
}

/// Tells the webhook how many seconds its answer is waited for.
fn with_timeout(uri: &Uri, timeout: Duration) -> Result<Uri, ConfigError> {
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    format!("{uri}?timeout={seconds}s").parse().map_err(|error| ConfigError::Url(format!("{error}")))
}

pub(crate) fn request(url: &Uri, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.clone();
    let headers = [(ACCEPT, "application/json, */*"), (CONTENT_TYPE, "application/json"), (USER_AGENT, AGENT)];
    request.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    request
}

pub(crate) async fn read(response: Response<Incoming>, deadline: Instant, url: &Uri) -> Result<Answer, CallError> {
    let (head, body) = response.into_parts();
    let content_type = header::first(&head.headers, &CONTENT_TYPE);
    let body = body::read(body, ANSWER_BYTES_MAX, deadline, |_| true).await.map_err(|error| match error {
        BodyError::Deadline => CallError::Exchange { url: url.to_string(), cause: ExchangeError::Deadline },
        BodyError::Broken(error) => CallError::Body(ExchangeError::of(&error).to_string()),
        other => CallError::Body(other.to_string()),
    })?;
    if !head.status.is_success() {
        return Err(refusal(head.status, content_type.as_deref(), &body));
    }
    let content_type = content_type.unwrap_or_default().into_owned();
    Ok(Answer { code: head.status.as_u16(), content_type, body })
}
