//! What can go wrong between us and a registry, in the words that users of containerd know from `kubectl describe pod`.

use http::{Method, StatusCode};

use windlass_http::dial::DialError;

use super::challenge::ChallengeError;
use crate::digest::Digest;

#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The registry has no such tag or manifest.
    #[error("{reference}: not found")]
    NotFound { reference: String },
    #[error("content at {url} not found: not found")]
    ContentNotFound { url: String },
    /// A token was granted, and still the registry refused.
    #[error(
        "pull access denied, repository does not exist or may require authorization: server message: {message}: authorization failed"
    )]
    Denied { message: String },
    #[error(
        "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
    )]
    NoCredentials,
    #[error("unexpected status from {method} request to {url}: {}{body}", status_line(*.status))]
    Status { method: Method, url: String, status: StatusCode, body: String, retry_after_seconds: Option<u64> },
    #[error("failed to authorize: failed to fetch {kind} token")]
    Token { kind: &'static str, source: Box<RegistryError> },
    #[error("failed to authorize")]
    Challenge(#[source] ChallengeError),
    #[error("failed to authorize: the token server's answer has no token")]
    NoToken,
    #[error("failed to authorize: credentials are not sent to {0:?} without TLS")]
    InsecureRealm(String),
    #[error("failed to do request: {method} \"{url}\"")]
    Request { method: &'static str, url: String, source: RequestFailure },
    #[error("stopped after 10 redirects of {url}")]
    TooManyRedirects { url: String },
    #[error("{url} redirects to {location:?}, which cannot be followed")]
    Redirect { url: String, location: String },
    #[error("{url} answers with more than {max} bytes")]
    TooLarge { url: String, max: u64 },
    #[error("{url} answers without a valid Docker-Content-Digest")]
    NoDigest { url: String },
    #[error("unexpected digest of the content at {url}: expected {expected}, got {actual}")]
    Digest { url: String, expected: Digest, actual: Digest },
    #[error("the download of {url} broke off at byte {at} of {size}")]
    BrokenOff { url: String, at: u64, size: u64, source: RequestFailure },
    #[error("no endpoint of {domain} is configured for this operation")]
    NoEndpoint { domain: String },
    #[error("invalid configuration of registry {domain}")]
    Config { domain: String, source: ConfigError },
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestFailure {
    #[error(transparent)]
    Dial(DialError),
    #[error("the server was silent for too long: i/o timeout")]
    Silent,
    #[error("unexpected EOF")]
    Eof,
    #[error("the transfer failed: {0}")]
    Http(String),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{0:?} is not the address of a registry, write https://host or http://host:port")]
    Address(String),
    #[error("failed to read {path:?}")]
    Read { path: std::path::PathBuf, source: std::io::Error },
    #[error("{path:?}: {reason}")]
    HostsToml { path: std::path::PathBuf, reason: String },
    #[error("{0} holds no usable certificate")]
    Certificate(String),
    #[error("{0} holds no usable private key")]
    PrivateKey(String),
    #[error("the client certificate does not fit its key")]
    ClientCertificate(#[source] rustls::Error),
    #[error("auth is not base64 of user:password")]
    Auth,
    #[error("invalid header {0:?}")]
    Header(String),
    #[error("unknown capability {0:?}, use pull, resolve or push")]
    Capability(String),
}

impl RegistryError {
    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504),
            Self::Request { source, .. } => source.is_transient(),
            Self::BrokenOff { .. } => true,
            Self::Token { source, .. } => source.is_transient(),
            _ => false,
        }
    }

    /// How far a request came, so that of several endpoints' errors the one that tells most is shown: no answer, not
    /// found, refused.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::Request { .. } | Self::Config { .. } | Self::NoEndpoint { .. } => 0,
            Self::Token { .. } | Self::Challenge(_) | Self::NoCredentials | Self::Denied { .. } => 1,
            Self::NotFound { .. } | Self::ContentNotFound { .. } => 2,
            _ => 3,
        }
    }

    pub(crate) fn code(&self) -> windlass_cri::Code {
        use windlass_cri::Code;
        match self {
            Self::NotFound { .. } | Self::ContentNotFound { .. } => Code::NotFound,
            Self::Denied { .. } | Self::NoCredentials => Code::PermissionDenied,
            Self::Status { status, .. } if matches!(status.as_u16(), 401 | 403) => Code::PermissionDenied,
            Self::Token { source, .. } => source.code(),
            Self::Config { .. } | Self::NoEndpoint { .. } => Code::InvalidArgument,
            error if error.is_transient() => Code::Unavailable,
            _ => Code::Internal,
        }
    }
}

impl RequestFailure {
    /// A name that does not exist or a certificate that is not trusted will be the same in a second.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Dial(error) => error.is_transient(),
            Self::Silent | Self::Eof | Self::Http(_) => true,
        }
    }
}

fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

/// The errors of a registry's JSON answer as text to append, empty for other bodies: pages of HTML help nobody.
pub(super) fn describe_body(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<Item>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    const CHARS_MAX: usize = 500;
    let Ok(body) = serde_json::from_slice::<Body>(body) else { return String::new() };
    let mut text = String::new();
    for item in body.errors {
        let code = item.code.to_lowercase().replace('_', " ");
        text.push_str(&format!(": {code}: {}", item.message.escape_debug()));
    }
    text.chars().take(CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> RegistryError {
        RegistryError::Status {
            method: Method::HEAD,
            url: "https://r.example/v2/a/manifests/b".into(),
            status: StatusCode::from_u16(code).unwrap(),
            body: describe_body(br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#),
            retry_after_seconds: None,
        }
    }

    #[test]
    fn words_and_codes() {
        use windlass_cri::Code;
        assert_eq!(
            status(429).to_string(),
            "unexpected status from HEAD request to https://r.example/v2/a/manifests/b: 429 Too Many Requests: \
             toomanyrequests: slow down"
        );
        assert!(status(429).is_transient() && status(503).is_transient() && !status(401).is_transient());
        assert_eq!(status(401).code(), Code::PermissionDenied);
        assert_eq!(status(503).code(), Code::Unavailable);
        assert_eq!(RegistryError::NotFound { reference: "x".into() }.code(), Code::NotFound);
        assert_eq!(describe_body(b"<html>"), "");
    }
}
