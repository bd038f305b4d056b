//! Asks an aggregated server something on our own behalf: whether it is there, and what it has. Answers are short, or they are none.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use windlass_api::Status;
use windlass_auth::User;
use windlass_http::exchange::ExchangeError;
use windlass_http::{dial, header};

use crate::aggregation::headers;
use crate::aggregation::routes::Remote;
use crate::aggregation::server::Aggregation;
use crate::aggregation::transport::{TransportError, whole};

pub(super) struct Question<'a> {
    pub path: &'a str,
    pub accept: &'static str,
    /// The tag of the answer that is there already.
    pub etag: &'a str,
    pub user: &'a User,
    pub within: Duration,
    pub bytes_max: usize,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub code: StatusCode,
    pub content_type: String,
    pub etag: String,
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody stands behind the Service.
    #[error("{0}")]
    Endpoint(Status),
    #[error("Get {url:?}: {error}")]
    Exchange { url: String, error: ExchangeError },
    #[error("Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")]
    Timeout { url: String },
    #[error("the answer has more than {0} bytes")]
    TooLong(usize),
    #[error(transparent)]
    Transport(TransportError),
    #[error("the question cannot be put: {0}")]
    Question(String),
}

impl Aggregation {
    /// Puts a question to one of the server's endpoints.
    pub(super) async fn ask(&self, remote: &Remote, question: &Question<'_>) -> Result<Answer, AskError> {
        let (host, port) = self.endpoint(&remote.service).map_err(AskError::Endpoint)?;
        self.ask_at(remote, &dial::join(&host, port), question).await
    }

    /// Puts a question to the server at an address.
    pub(super) async fn ask_at(
        &self,
        remote: &Remote,
        address: &str,
        question: &Question<'_>,
    ) -> Result<Answer, AskError> {
        let transport = remote.transport.as_ref().map_err(|error| AskError::Transport(*error))?;
        let url = format!("https://{address}{}", question.path);
        let mut request = Request::new(whole(""));
        *request.uri_mut() = url.parse().map_err(|_| AskError::Question(format!("{url} is no URL")))?;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(question.accept));
        if let Some(tag) = HeaderValue::from_str(question.etag).ok().filter(|tag| !tag.is_empty()) {
            headers.insert(IF_NONE_MATCH, tag);
        }
        headers::set(headers, question.user).map_err(|status| AskError::Question(status.message))?;
        let exchange = async {
            let failed = |error| AskError::Exchange { url: url.clone(), error };
            let (parts, body) = transport.pool.send(request).await.map_err(failed)?.into_parts();
            let body = Limited::new(body, question.bytes_max).collect().await.map_err(|error| match error
                .downcast_ref::<LengthLimitError>(
            ) {
                Some(_) => AskError::TooLong(question.bytes_max),
                None => failed(ExchangeError::of(&*error)),
            })?;
            Ok(Answer {
                code: parts.status,
                content_type: text(&parts.headers, &CONTENT_TYPE),
                etag: text(&parts.headers, &ETAG),
                body: body.to_bytes(),
            })
        };
        timeout(question.within, exchange).await.unwrap_or_else(|_| Err(AskError::Timeout { url: url.clone() }))
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    header::first(headers, name).unwrap_or_default().into_owned()
}
