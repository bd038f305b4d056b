//! Why a webhook gave no answer, in the words that upstream's client has for it.

use http::StatusCode;
use serde_json::Value;
use windlass_api::Status;
use windlass_api::status::{Cause, Details, Reason};
use windlass_http::exchange::ExchangeError;

use crate::config::ConfigError;

/// Why a webhook gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No answer came.
    #[error("Post \"{url}\": {cause}")]
    Exchange { url: String, cause: ExchangeError },
    #[error("unexpected error when reading response body. Please retry. Original error: {0}")]
    Body(String),
    /// It answered that it would not.
    #[error("{}", .0.message)]
    Refused(Box<Status>),
}

impl CallError {
    /// Whether it took too long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Exchange { cause, .. } => *cause == ExchangeError::Deadline,
            Self::Refused(status) => status.code == 504,
            _ => false,
        }
    }

    /// Whether it may be otherwise the next time.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Exchange { cause, .. } => *cause == ExchangeError::Reset,
            Self::Refused(status) => {
                matches!(status.reason, Reason::InternalError | Reason::Timeout | Reason::TooManyRequests)
            }
            _ => false,
        }
    }
}

/// Of a text that says why, so much is shown.
const TEXT_BYTES_MAX: usize = 2048;

/// What an answer other than a success says.
pub(crate) fn refusal(code: StatusCode, content_type: Option<&str>, body: &[u8]) -> CallError {
    let status = said(body).unwrap_or_else(|| unstructured(code.as_u16(), content_type, body));
    CallError::Refused(Box::new(status))
}

/// The `Status` that a body is, if it is one of a failure.
fn said(body: &[u8]) -> Option<Status> {
    let tree: Value = serde_json::from_slice(body).ok()?;
    let is_failure = tree["kind"] == "Status" && tree["status"] != "Success";
    serde_json::from_value(tree).ok().filter(|_| is_failure)
}

fn unstructured(code: u16, content_type: Option<&str>, body: &[u8]) -> Status {
    let is_text = content_type.is_none_or(|said| said.starts_with("text/"));
    let text = String::from_utf8_lossy(&body[..body.len().min(TEXT_BYTES_MAX)]);
    let text = if is_text { text.trim() } else { "unknown" };
    let (reason, message) = match code {
        400 => (Reason::BadRequest, "the server rejected our request for an unknown reason".to_owned()),
        401 => (Reason::Unauthorized, "the server has asked for the client to provide credentials".to_owned()),
        403 => (Reason::Forbidden, text.to_owned()),
        404 => (Reason::NotFound, "the server could not find the requested resource".to_owned()),
        405 => (Reason::MethodNotAllowed, "the server does not allow this method on the requested resource".to_owned()),
        406 if text.is_empty() || text == "unknown" => (
            Reason::NotAcceptable,
            "the server was unable to respond with a content type that the client supports".to_owned(),
        ),
        406 => (Reason::NotAcceptable, text.to_owned()),
        409 => (Reason::AlreadyExists, "the server reported a conflict".to_owned()),
        415 => (Reason::UnsupportedMediaType, text.to_owned()),
        422 => (Reason::Invalid, "the server rejected our request due to an error in our request".to_owned()),
        429 => (
            Reason::TooManyRequests,
            "the server has received too many requests and has asked us to try again later".to_owned(),
        ),
        503 => (Reason::ServiceUnavailable, "the server is currently unable to handle the request".to_owned()),
        504 => (
            Reason::Timeout,
            "the server was unable to return a response in the time allotted, but may still be processing the request"
                .to_owned(),
        ),
        500.. => (
            Reason::InternalError,
            format!("an error on the server ({text:?}) has prevented the request from succeeding"),
        ),
        _ => {
            let message =
                format!("the server responded with the status code {code} but did not return more information");
            (Reason::Unknown, message)
        }
    };
    let cause = Cause { reason: "UnexpectedServerResponse".to_owned(), message: text.to_owned(), field: String::new() };
    let mut status = Status::new(code, reason, message);
    status.details = Some(Box::new(Details { causes: vec![cause], ..Details::default() }));
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: u16, content_type: Option<&str>, body: &str) -> String {
        refusal(StatusCode::from_u16(code).unwrap(), content_type, body.as_bytes()).to_string()
    }

    #[test]
    fn what_refusals_say() {
        let broken = "an error on the server (\"boom\") has prevented the request from succeeding";
        assert_eq!(words(500, None, " boom\n"), broken);
        assert_eq!(words(502, Some("text/plain"), "boom"), broken);
        assert_eq!(words(404, Some("text/html"), "x"), "the server could not find the requested resource");
        let unknown = "an error on the server (\"unknown\") has prevented the request from succeeding";
        assert_eq!(words(500, Some("application/json"), "{}"), unknown);
        let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","code":403}"#;
        assert_eq!(words(403, Some("application/json"), status), "no");
        let odd = "the server responded with the status code 302 but did not return more information";
        assert_eq!(words(302, None, ""), odd);
    }
}
